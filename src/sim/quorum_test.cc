// SPDX-License-Identifier: Apache-2.0
// A region that is alone says so at once; nobody there waits for each time-out.
#include <gtest/gtest.h>

#include <optional>

#include "base/log.h"
#include "sim/world.h"
#include "store/keys.h"

namespace evercert::sim {
namespace {

constexpr GroupId kHome{1};
constexpr Duration kPatience = 8s;

class QuorumTest : public testing::Test {
 protected:
  QuorumTest() : random(5), world(options(), random) {
    set_log_level(LogLevel::kOff);
    for (const NodeId node : world.nodes()) world.start(node);
    world.run_until(Instant{10'000'000});
  }
  ~QuorumTest() override { set_log_level(LogLevel::kInfo); }
  static WorldOptions options() {
    WorldOptions options;
    options.loss = options.late = 0;
    return options;
  }
  void isolate(NodeId alone) {
    for (const NodeId other : world.nodes()) {
      if (other == alone) continue;
      world.cut(alone, other);
      world.cut(other, alone);
    }
  }
  void run_for(Duration duration) { world.run_until(world.now() + duration); }

  // Code of a write, and what a read says; how long each took is what run_for() allows it.
  void write(NodeId through) {
    store::v1::Command command;
    auto* certificate = command.mutable_issue()->mutable_certificate();
    certificate->set_serial("\x01" + std::to_string(100'000'000'000'000 + ++written));
    certificate->set_der("der");
    written_as.reset();
    world.engine(through)->submit(kHome, command.SerializeAsString(), world.local_now(through) + kPatience,
                                  [this](Result<store::v1::Outcome> outcome) {
                                    written_as = outcome ? std::nullopt : std::optional(outcome.error().code);
                                    answered = true;
                                  });
    answered = false;
    world.wake(through);
  }
  void read(NodeId through) {
    freshness.reset();
    const Instant now = world.local_now(through);
    world.engine(through)->freshen(
        kHome, "record", now + kPatience, [this](store::Freshness told) { freshness = told; }, now);
    world.wake(through);
  }

  SeededRandom random;
  World world;
  std::int64_t written = 0;
  bool answered = false;
  std::optional<Code> written_as;
  std::optional<store::Freshness> freshness;
};

TEST_F(QuorumTest, ARegionAloneRefusesAtOnceAndAnswersAsStale) {
  const NodeId alone = world.nodes().front();
  isolate(alone);
  run_for(12s);  // leadership and leases are gone, and 5 s more
  write(alone);
  read(alone);
  run_for(500ms);
  ASSERT_TRUE(answered);
  EXPECT_EQ(written_as, Code::kUnavailable) << "nothing was done, and that is known";
  EXPECT_EQ(freshness, store::Freshness::kStale);
  EXPECT_GT(world.engine(alone)->status(world.local_now(alone))[kHome.value].quorum_lost_ms.value_or(0), 5000);
}

TEST_F(QuorumTest, TheOthersGoOnAndTheFirstLeaderEndsIt) {
  const NodeId alone = world.nodes().front(), other = world.nodes().back();
  isolate(alone);
  run_for(12s);
  write(other);
  run_for(2s);
  EXPECT_TRUE(answered && !written_as) << "the majority writes";
  world.heal();
  run_for(8s);
  EXPECT_FALSE(world.engine(alone)->status(world.local_now(alone))[kHome.value].quorum_lost_ms);
  write(alone);
  read(alone);
  run_for(2s);
  EXPECT_TRUE(answered && !written_as);
  EXPECT_EQ(freshness, store::Freshness::kFresh);
}

}  // namespace
}  // namespace evercert::sim
