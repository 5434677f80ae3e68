// SPDX-License-Identifier: Apache-2.0
// What whole clusters in simulation (sim/) seldom meet and a node must do all the same.
#include "store/engine.h"

#include <gtest/gtest.h>

#include "base/fake_disk.h"
#include "base/log.h"
#include "store/kv/mem_kv.h"

namespace evercert::store {
namespace {

const NodeId kSelf = node_id(RegionId{1}, 1), kOther = node_id(RegionId{2}, 1), kThird = node_id(RegionId{3}, 1);

class NoChance : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { std::fill(out.begin(), out.end(), 0); }
};
class StillClock : public WallClock {
 public:
  WallTime now() const override { return WallTime{1'700'000'000'000}; }
};

class EngineTest : public testing::Test, public PeerSink {
 protected:
  EngineTest() {
    set_log_level(LogLevel::kOff);
    EngineOptions options;
    options.layout = {{kSelf, kOther, kThird}, 3};
    options.self = kSelf;
    options.cluster_id = "cluster";
    log = Log::open(disk, "/log", {}).value();
    engine = Engine::open(std::move(options), *log, kv, *this, random, wall, board, 100, now).value();
  }
  ~EngineTest() override { set_log_level(LogLevel::kInfo); }

  void send(NodeId to, const v1::Batch& batch) override { sent[to].push_back(batch); }
  // Asked by a process of `from` that started at `start`. Whether it was answered.
  bool answers(NodeId from, std::uint64_t start, const std::string& cluster = "cluster") {
    v1::Batch batch;
    batch.set_cluster_id(cluster);
    batch.set_start_id(start);
    batch.add_messages()->mutable_recovery_ask()->set_incarnation(start);
    sent.clear();
    engine->receive(from, batch, now);
    EXPECT_TRUE(engine->flush(now));
    for (const v1::Batch& told : sent[from]) {
      for (const auto& message : told.messages()) {
        if (message.has_recovery_told() && message.recovery_told().incarnation() == start) return true;
      }
    }
    return false;
  }

  FakeDisk disk;
  MemKv kv;
  NoChance random;
  StillClock wall;
  FreshnessBoard board{kMostRegions + 1u};
  Instant now{1'000'000};
  std::unique_ptr<Log> log;
  std::unique_ptr<Engine> engine;
  std::map<NodeId, std::vector<v1::Batch>> sent;
};

TEST_F(EngineTest, WhatAPeerSaidInAnEarlierLifeIsNotHeardOnceItSpeaksInALaterOne) {
  EXPECT_TRUE(answers(kOther, 7));
  EXPECT_TRUE(answers(kOther, 9));
  EXPECT_FALSE(answers(kOther, 7)) << "it may have lost since what it spoke of";
  EXPECT_TRUE(answers(kOther, 9)) << "the same life goes on";
  EXPECT_TRUE(answers(kThird, 7)) << "each has lives of its own";
}

TEST_F(EngineTest, NobodyOfAnotherClusterIsHeard) {
  EXPECT_FALSE(answers(kOther, 7, "another"));
  EXPECT_FALSE(answers(kSelf, 7)) << "nor itself";
  EXPECT_FALSE(answers(NodeId{0}, 7)) << "nor a node of no region";
}

}  // namespace
}  // namespace evercert::store
