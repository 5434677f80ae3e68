// SPDX-License-Identifier: Apache-2.0
#include "degraded/desk.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "degraded/desk_world_test.h"

namespace evercert::degraded {
namespace {

using testkit::finish;

const std::string kDir = "/node/queue";

class DeskTest : public testing::Test {
 protected:
  DeskTest() { set_log_level(LogLevel::kOff); }
  ~DeskTest() override {
    life.reset();
    desk.reset();
    set_log_level(LogLevel::kInfo);
  }
  void start() {
    life.reset();
    desk.reset();
    life = std::make_unique<testkit::MortalExecutor>(executor);
    desk = Desk::open({NodeId{0x0102}, {}, 200ms}, disk, kDir, *life, clocks, wall, random);
    desk->start(
        [this](Executor&, v1::Operation operation) -> Task<Result<std::string>> {
          performed.push_back(operation.id());
          co_return std::string("serial");
        },
        [this] { return allowed; },
        {[this](const v1::Operation& operation) { held.insert(operation.id()); },
         [this](const v1::Operation& operation) { held.erase(operation.id()); }});
    executor.run();
  }
  Result<Queue::Accepted> offer(const std::string& key = "") {
    v1::Operation wanted;
    wanted.set_kind(v1::REVOCATION);
    wanted.set_caller("alice");
    wanted.set_key(key);
    wanted.set_deadline_ms(wall.now().ms + 3'600'000);
    return finish(executor, desk->offer(executor, wanted, "why"));
  }

  sim::SeededRandom random{1};
  SimulatedClocks clocks;
  SimulatedWall wall{clocks};
  testkit::ManualExecutor executor;
  FakeDisk disk;
  bool allowed = false;
  std::vector<std::string> performed;
  std::set<std::string> held;
  std::unique_ptr<testkit::MortalExecutor> life;
  std::unique_ptr<Desk> desk;
};

TEST_F(DeskTest, AnIdNamesTheNodeThatKeepsIt) {
  start();
  const auto accepted = offer();
  ASSERT_TRUE(accepted);
  EXPECT_EQ(keeper_of(accepted->operation.id()).value(), NodeId{0x0102});
  for (const char* wrong : {"", "01", "zz", "0102030405060708090a0b0c0d0e0f"})
    EXPECT_EQ(keeper_of(wrong).error().code, Code::kInvalid) << wrong;
}

TEST_F(DeskTest, WhatWaitsSurvivesAndIsCarriedOutWhenThereIsAMajority) {
  start();
  const std::string id = offer("k")->operation.id();
  EXPECT_TRUE(held.contains(id));
  disk.crash_keeping(0);
  held.clear();
  start();
  EXPECT_TRUE(held.contains(id)) << "those of an earlier life are told of too";
  EXPECT_EQ(desk->summary().queue.waiting, 1u);
  EXPECT_TRUE(offer("k")->repeated);
  executor.advance(1s);
  EXPECT_TRUE(performed.empty());
  allowed = true;
  executor.advance(1s);
  EXPECT_EQ(performed, std::vector<std::string>{id});
  EXPECT_EQ(finish(executor, desk->find(executor, id))->state(), v1::DONE);
  EXPECT_FALSE(held.contains(id));
  const auto reports = finish(executor, desk->reports(executor));
  ASSERT_EQ(reports->size(), 1u);
  EXPECT_NE(reports->front().ended_at_ms(), 0);
}

TEST_F(DeskTest, MoreThanOneShareASync) {
  start();
  const auto before = disk.syncs();
  TaskScope clients;
  int accepted = 0;
  for (int i = 0; i < 50; ++i) {
    v1::Operation wanted;
    wanted.set_kind(v1::ISSUANCE);
    wanted.set_deadline_ms(wall.now().ms + 3'600'000);
    clients.spawn(desk->offer(executor, wanted, "why"), [&](const auto& one) { accepted += one.has_value(); });
  }
  executor.run();
  EXPECT_EQ(accepted, 50);
  EXPECT_LE(disk.syncs() - before, 3u);
}

TEST_F(DeskTest, ADiskThatRefusesLeavesTheOutcomeOpenAndEndsTheQueue) {
  start();
  ASSERT_TRUE(offer());
  disk.fail_next_sync();
  EXPECT_EQ(offer().error().code, Code::kUnknownOutcome) << "it may come back with a restart";
  const auto after = offer();
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().code, Code::kUnavailable);
  EXPECT_NE(after.error().message.find("out of order"), std::string::npos);
  EXPECT_FALSE(desk->summary().out_of_order.empty());
  start();
  EXPECT_TRUE(desk->summary().out_of_order.empty());
  EXPECT_TRUE(offer());
}

TEST_F(DeskTest, ADamagedQueueTakesNothingAndSaysWhy) {
  start();
  ASSERT_TRUE(offer());
  start();
  ASSERT_TRUE(offer());
  ASSERT_TRUE(offer());
  const std::string file = kDir + "/" + disk.list(kDir)->back();
  disk.flip_bit(file, 8 * 40);
  start();
  EXPECT_NE(desk->summary().out_of_order.find(file), std::string::npos) << desk->summary().out_of_order;
  EXPECT_EQ(offer().error().code, Code::kUnavailable);
  EXPECT_EQ(finish(executor, desk->reports(executor)).error().code, Code::kUnavailable);
  allowed = true;
  executor.advance(5s);
  EXPECT_TRUE(performed.empty()) << "nothing is carried out on the word of a damaged disk";
}

TEST_F(DeskTest, InSimulationNothingIsLostAndNothingHappensTwice) {
  std::uint64_t acknowledged = 0, ends = 0, repetitions = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    DeskWorld world(seed, QueueBug::kNone);
    const auto violated = world.run();
    ASSERT_FALSE(violated) << "seed " << seed << ": " << *violated;
    acknowledged += world.acknowledged();
    ends += world.ends();
    repetitions += world.repetitions();
  }
  // The simulation does what it is for.
  EXPECT_GT(acknowledged, 5'000u);
  EXPECT_GT(ends, 1'500u);
  EXPECT_GT(repetitions, 500u);
}

TEST_F(DeskTest, InSimulationEveryPlantedBugIsFound) {
  const std::map<QueueBug, std::set<std::string>> expected{
      {QueueBug::kAnswerBeforeSync, {"an acknowledged operation is lost"}},
      {QueueBug::kNewKeyPerAttempt, {"carried out twice"}},
      {QueueBug::kForgetUndone, {"done is said of what was never carried out"}},
      {QueueBug::kFirstComeFirst, {"a later kind begins first"}},
      {QueueBug::kBeginTwice, {"more than one attempt of an operation is under way"}},
  };
  for (const auto& [bug, kinds] : expected) {
    std::map<std::string, int> found;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
      if (const auto violated = DeskWorld(seed, bug).run()) ++found[*violated];
    }
    EXPECT_TRUE(std::any_of(kinds.begin(), kinds.end(), [&](const auto& kind) { return found.contains(kind); }))
        << "bug " << static_cast<int>(bug) << ": " << testing::PrintToString(found);
  }
}

}  // namespace
}  // namespace evercert::degraded
