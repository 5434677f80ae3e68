// SPDX-License-Identifier: Apache-2.0
// What whole clusters in simulation (sim/) seldom meet and a node must do all the same.
#include "store/engine.h"

#include <gtest/gtest.h>

#include "base/fake_disk.h"
#include "base/log.h"
#include "store/keys.h"
#include "store/kv/mem_kv.h"
#include "store/membership.h"

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

// As the real one, until `rotten` is set: then entries cannot be read any more.
class RottingLog : public Log {
 public:
  explicit RottingLog(Log& log) : log_(log) {}
  bool rotten = false;

  void append(GroupId group, std::vector<LogEntry> entries) override { log_.append(group, std::move(entries)); }
  void set_hard_state(GroupId group, HardState state) override { log_.set_hard_state(group, state); }
  void set_snapshot(GroupId group, LogIndex index, Term term) override { log_.set_snapshot(group, index, term); }
  void compact(GroupId group, LogIndex upto) override { log_.compact(group, upto); }
  void put_meta(std::string key, std::string value) override { log_.put_meta(std::move(key), std::move(value)); }
  void remove_meta(const std::string& key) override { log_.remove_meta(key); }
  Status sync() override { return log_.sync(); }
  HardState hard_state(GroupId group) const override { return log_.hard_state(group); }
  LogIndex first_index(GroupId group) const override { return log_.first_index(group); }
  LogIndex last_index(GroupId group) const override { return log_.last_index(group); }
  Beginning snapshot(GroupId group) const override { return log_.snapshot(group); }
  Result<Term> term(GroupId group, LogIndex index) const override { return log_.term(group, index); }
  Result<std::vector<LogEntry>> entries(GroupId group, LogIndex low, LogIndex high,
                                        std::uint64_t max_bytes) const override {
    if (rotten) return fail(Code::kCorrupt, "/log/7.log: bad checksum at byte 4711");
    return log_.entries(group, low, high, max_bytes);
  }
  std::optional<std::string> meta(const std::string& key) const override { return log_.meta(key); }

 private:
  Log& log_;
};

TEST_F(EngineTest, ANodeWhoseLogCannotBeReadStopsAndSaysWhere) {
  FakeDisk its_disk;
  auto real = Log::open(its_disk, "/log", {}).value();
  RottingLog rotting(*real);
  MemKv state;
  FreshnessBoard its_board{kMostRegions + 1u};
  EngineOptions options;
  options.layout = {{kSelf}, 1};
  options.self = kSelf;
  options.cluster_id = "cluster";
  options.may_found = true;
  auto alone = Engine::open(std::move(options), rotting, state, *this, random, wall, its_board, 100, now).value();
  const auto turn = [&]() -> Status {
    now = now + 50ms;
    alone->tick(now);
    return alone->flush(now);
  };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(turn());
  ASSERT_TRUE(alone->group(kGlobalGroup).leads());
  rotting.rotten = true;
  v1::Command command;
  command.mutable_change_membership()->set_region(1);
  alone->submit(kGlobalGroup, command.SerializeAsString(), now + 10s, [](const Result<v1::Outcome>&) {});
  Status stopped;
  for (int i = 0; i < 100 && stopped; ++i) stopped = turn();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::kCorrupt);
  EXPECT_NE(stopped.error().message.find("byte 4711"), std::string::npos) << stopped.error().message;
}

// A node of region 4, which was added as a witness, by its own state; its file says what `witnesses` says.
class AddedWitnessTest : public EngineTest {
 protected:
  Status open(RegionSet witnesses) {
    FakeDisk other;
    auto its_log = Log::open(other, "/log", {}).value();
    v1::GroupConfiguration founders;
    for (const NodeId node : {kSelf, kOther, kThird}) founders.add_voters(node.value);
    founders.set_regions(3);
    its_log->put_meta("founders", founders.SerializeAsString());
    its_log->put_meta("member", "1");
    v1::Membership record = first_membership();
    v1::FoundRegion found;
    found.set_expected_epoch(1);
    found.set_region(4);
    found.set_name("watch");
    found.set_witness(true);
    for (const NodeId node : {kSelf, kOther, kThird}) found.add_voters(node.value);
    EXPECT_TRUE(change(record, found, 3, 1000));
    MemKv state;
    WriteBatch batch;
    batch.put(state_key(kGlobalGroup, membership_record()), record.SerializeAsString());
    EXPECT_TRUE(state.write(batch));
    EngineOptions options;
    options.self = node_id(RegionId{4}, 1);
    options.layout = {{kSelf, kOther, kThird, options.self}, 4, witnesses};
    options.cluster_id = "cluster";
    FreshnessBoard its_board{kMostRegions + 1u};
    auto opened = Engine::open(std::move(options), *its_log, state, *this, random, wall, its_board, 100, now);
    return opened ? Status{} : Status(std::unexpected(opened.error()));
  }
};

TEST_F(AddedWitnessTest, ItsFileMustSayThatItIsOne) {
  EXPECT_TRUE(open(region_bit(RegionId{4}))) << open(region_bit(RegionId{4})).error().message;
  const Status refused = open(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_NE(refused.error().message.find("region 4 of the cluster file is no witness"), std::string::npos)
      << refused.error().message;
}

}  // namespace
}  // namespace evercert::store
