// SPDX-License-Identifier: Apache-2.0
#include "store/snapshots.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/encoding.h"
#include "store/keys.h"
#include "store/kv/mem_kv.h"

namespace evercert::store {
namespace {

constexpr GroupId kGroup{2};
constexpr NodeId kSender{257}, kReceiver{513}, kThird{769};
constexpr Instant kNow{1'000'000};
constexpr Position kPosition{Term{3}, LogIndex{40}};

class SnapshotsTest : public testing::Test {
 protected:
  // A state of `chunks` chunks, and neighbours on both sides that are none of the group's.
  void fill(std::size_t chunks) {
    WriteBatch batch;
    for (std::size_t i = 0; i < chunks; ++i) {
      batch.put(state_key(kGroup, "c/" + std::to_string(100 + i)), std::string(kSnapshotChunkBytes, 'x'));
    }
    batch.put(state_key(GroupId{1}, "c/1"), "of group 1");
    batch.put(state_key(GroupId{3}, "c/1"), "of group 3");
    ASSERT_TRUE(source.write(batch));
  }
  void begin() {
    ASSERT_TRUE(sender.prepare(kGroup, kReceiver, kPosition));
    queue(sender.begin(kGroup, kReceiver, "the core's message", kNow));
  }
  void queue(std::vector<v1::SnapshotChunk> chunks) {
    for (auto& chunk : chunks) wire.push_back(std::move(chunk));
  }
  // Hands the chunk to the receiver and its answer back to the sender.
  void deliver(const v1::SnapshotChunk& chunk) {
    auto received = receiver->chunk(kSender, chunk);
    ASSERT_TRUE(received.has_value());
    if (!received->raft_message.empty()) handed_over = received->raft_message;
    if (!received->ack) return;
    auto progress = sender.acknowledged(kReceiver, *received->ack, kNow);
    queue(std::move(progress.chunks));
    if (progress.finished) finished = progress.finished;
  }
  void repeat(Instant now) {
    for (auto& [node, chunk] : sender.repeated(now)) wire.push_back(std::move(chunk));
  }
  void run() {
    while (!wire.empty()) {
      const v1::SnapshotChunk chunk = wire.front();
      wire.pop_front();
      deliver(chunk);
    }
  }
  void restart() { receiver = std::make_unique<SnapshotReceiver>(*target_kv); }
  static std::map<std::string, std::string> contents(const Kv& kv, const std::string& from, const std::string& to) {
    std::map<std::string, std::string> all;
    EXPECT_TRUE(kv.scan(from, to, SIZE_MAX, [&](std::string_view key, std::string_view value) {
      all.emplace(key, value);
      return true;
    }));
    return all;
  }
  std::map<std::string, std::string> group_of(const Kv& kv) const {
    return contents(kv, group_prefix(kGroup), group_prefix(GroupId{kGroup.value + 1}));
  }
  // Nothing but records of groups and how far they are applied.
  bool nothing_staged() const {
    for (const auto& [key, value] : contents(*target_kv, "\xfe", std::string(3, '\xff'))) {
      if (key != applied_key(kGroup)) return false;
    }
    return true;
  }

  MemKv source;
  std::unique_ptr<MemKv> target_kv = std::make_unique<MemKv>();
  SnapshotSender sender{source, 5s, 1000};
  std::unique_ptr<SnapshotReceiver> receiver = std::make_unique<SnapshotReceiver>(*target_kv);
  std::deque<v1::SnapshotChunk> wire;
  std::optional<bool> finished;
  std::string handed_over;
};

TEST_F(SnapshotsTest, TheReceiversStateOfTheGroupBecomesTheSendersAndNothingElseChanges) {
  fill(10);
  WriteBatch old;
  old.put(state_key(kGroup, "c/old"), "of another history");
  old.put(state_key(GroupId{1}, "c/own"), "stays");
  ASSERT_TRUE(target_kv->write(old));
  begin();
  run();
  EXPECT_EQ(finished, true);
  EXPECT_EQ(handed_over, "the core's message");
  EXPECT_TRUE(group_of(*target_kv).contains(state_key(kGroup, "c/old"))) << "staged beside it until the core accepts";
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  ASSERT_TRUE(receiver->swap_in(kGroup));
  EXPECT_EQ(group_of(*target_kv), group_of(source));
  EXPECT_EQ(read_applied(*target_kv, kGroup), kPosition);
  EXPECT_EQ(target_kv->get(state_key(GroupId{1}, "c/own")).value(), "stays");
  EXPECT_TRUE(nothing_staged());
}

TEST_F(SnapshotsTest, TheSnapshotIsTheStateWhenItWasPreparedThoughWritesGoOn) {
  fill(6);
  const auto then = group_of(source);
  begin();
  WriteBatch later;
  later.put(state_key(kGroup, "c/105"), "changed");
  later.put(state_key(kGroup, "c/999"), "new");
  ASSERT_TRUE(source.write(later));
  run();
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  ASSERT_TRUE(receiver->swap_in(kGroup));
  EXPECT_EQ(group_of(*target_kv), then);
}

TEST_F(SnapshotsTest, AnEmptyStateIsASnapshotToo) {
  begin();
  run();
  EXPECT_EQ(finished, true);
  EXPECT_EQ(handed_over, "the core's message");
}

TEST_F(SnapshotsTest, DamageInTheSendersStateIsToldAndNothingIsFinished) {
  fill(6);
  ASSERT_TRUE(source.rot(3));
  EXPECT_TRUE(sender.state_sound());
  begin();
  run();
  EXPECT_EQ(finished, std::nullopt);
  ASSERT_FALSE(sender.state_sound());
  EXPECT_EQ(sender.state_sound().error().code, Code::kCorrupt);
}

TEST_F(SnapshotsTest, NoMoreThanAWindowIsUnderWay) {
  fill(20);
  begin();
  EXPECT_EQ(wire.size(), kSnapshotWindowFirst);
  for (std::size_t acknowledged = 1; acknowledged < 8; ++acknowledged) {
    const v1::SnapshotChunk first = wire.front();
    wire.pop_front();
    deliver(first);
    EXPECT_EQ(wire.size(), kSnapshotWindowFirst + acknowledged) << "it grows with each that is acknowledged";
  }
}

TEST_F(SnapshotsTest, AWindowStopsGrowingAndSilenceMakesItSmallAgain) {
  fill(3 * kSnapshotWindowMost);
  begin();
  std::size_t most = 0;
  for (std::size_t i = 0; i < kSnapshotWindowMost; ++i) {
    deliver(v1::SnapshotChunk(wire.front()));
    wire.pop_front();
    most = std::max(most, wire.size());
  }
  EXPECT_EQ(most, kSnapshotWindowMost);
  wire.clear();  // all that was under way is lost
  repeat(kNow + 1s);
  EXPECT_EQ(wire.size(), kSnapshotWindowFirst);
  run();
  EXPECT_EQ(finished, true) << "and what was not sent again at once follows";
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  ASSERT_TRUE(receiver->swap_in(kGroup));
  EXPECT_EQ(group_of(*target_kv), group_of(source));
}

TEST_F(SnapshotsTest, KeysOutOfOrderAreRefused) {
  fill(3);
  begin();
  v1::SnapshotChunk again = wire[0];  // sound in itself
  again.set_sequence(1);
  wire[1] = again;
  run();
  EXPECT_EQ(finished, false);
  EXPECT_EQ(handed_over, "");
}

TEST_F(SnapshotsTest, OneTransferOfAGroupToANodeAtATime) {
  fill(2);
  begin();
  EXPECT_EQ(sender.prepare(kGroup, kReceiver, kPosition).error().code, Code::kUnavailable);
  EXPECT_TRUE(sender.prepare(kGroup, kThird, kPosition)) << "to another node";
  EXPECT_TRUE(sender.prepare(GroupId{1}, kReceiver, kPosition)) << "of another group";
}

TEST_F(SnapshotsTest, ALostChunkIsSentAgain) {
  fill(6);
  begin();
  wire.erase(wire.begin() + 1);
  run();
  EXPECT_EQ(finished, std::nullopt);
  EXPECT_TRUE(sender.repeated(kNow + 1s - 1us).empty());
  repeat(kNow + 1s);
  EXPECT_TRUE(sender.repeated(kNow + 1s).empty()) << "not more often than once in that time";
  run();
  EXPECT_EQ(finished, true);
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  ASSERT_TRUE(receiver->swap_in(kGroup));
  EXPECT_EQ(group_of(*target_kv), group_of(source));
}

TEST_F(SnapshotsTest, ALostAcknowledgementIsGivenAgainAlsoOfTheLastChunk) {
  fill(3);
  begin();
  for (const auto& chunk : wire) ASSERT_TRUE(receiver->chunk(kSender, chunk).has_value());
  receiver->core_has_decided();
  wire.clear();
  repeat(kNow + 1s);
  run();
  EXPECT_EQ(finished, true);
}

TEST_F(SnapshotsTest, SilenceEndsTheTransferAfterTheSendersPatience) {
  fill(6);
  begin();
  EXPECT_TRUE(sender.expired(kNow + 5s).empty());
  EXPECT_EQ(sender.expired(kNow + 5s + 1us), (std::vector{std::pair{kGroup, kReceiver}}));
  EXPECT_TRUE(sender.prepare(kGroup, kReceiver, kPosition));
}

TEST_F(SnapshotsTest, AChunkThatOvertakesAnotherLeavesNoHole) {
  fill(6);
  begin();
  std::swap(wire[1], wire[2]);
  run();
  EXPECT_EQ(handed_over, "");
  repeat(kNow + 1s);
  run();
  EXPECT_EQ(finished, true);
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  ASSERT_TRUE(receiver->swap_in(kGroup));
  EXPECT_EQ(group_of(*target_kv), group_of(source));
}

TEST_F(SnapshotsTest, AChunkThatComesTwiceIsTakenOnce) {
  fill(3);
  begin();
  wire.insert(wire.begin() + 1, wire.front());
  run();
  EXPECT_EQ(finished, true);
  EXPECT_EQ(handed_over, "the core's message");
}

TEST_F(SnapshotsTest, AChangedBitInAKeyOrValueIsFound) {
  fill(3);
  begin();
  (*wire[1].mutable_records())[100] ^= 1;
  run();
  EXPECT_EQ(finished, false);
  EXPECT_EQ(handed_over, "");
}

TEST_F(SnapshotsTest, AByteThatMovedFromAKeyToItsValueIsFound) {
  WriteBatch batch;
  batch.put(state_key(kGroup, "ab"), "c");
  ASSERT_TRUE(source.write(batch));
  begin();
  v1::KeyValues moved;
  ASSERT_TRUE(moved.ParseFromString(wire[0].records()));
  moved.mutable_items(0)->set_key(state_key(kGroup, "a"));
  moved.mutable_items(0)->set_value("bc");
  moved.SerializeToString(wire[0].mutable_records());
  run();
  EXPECT_EQ(finished, false);
}

TEST_F(SnapshotsTest, RecordsThatDoNotParseAreRefused) {
  fill(1);
  begin();
  wire[0].set_records("\x0a\xff nothing");
  wire[0].set_crc32c(crc32c(wire[0].records()));
  run();
  EXPECT_EQ(finished, false);
}

TEST_F(SnapshotsTest, ChunksOfAnotherTransferAreNotMixedIn) {
  fill(6);
  begin();
  wire[1].set_snapshot(wire[1].snapshot() + 7);
  run();
  EXPECT_EQ(finished, false);
  EXPECT_EQ(handed_over, "");
}

// The state that the core has accepted must be what is put in place, whoever else begins to send in that moment.
TEST_F(SnapshotsTest, WhatWasHandedOverIsNotDisturbedByAnotherTransferUntilItIsInPlace) {
  fill(3);
  begin();
  const v1::SnapshotChunk late = wire.front();
  run();
  ASSERT_EQ(handed_over, "the core's message");
  v1::SnapshotChunk other = late;
  other.set_snapshot(77);
  EXPECT_FALSE(receiver->chunk(kThird, other)->ack.has_value());
  deliver(late);
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  ASSERT_TRUE(receiver->swap_in(kGroup));
  EXPECT_EQ(group_of(*target_kv), group_of(source));
  receiver->core_has_decided();
  EXPECT_TRUE(receiver->chunk(kThird, other)->ack.has_value());
}

TEST_F(SnapshotsTest, AKeyOutsideOfTheGroupIsRefused) {
  fill(1);
  SnapshotSender forger(source, 5s, 5000);
  begin();
  v1::SnapshotChunk forged = wire.front();
  forged.set_group(1);
  const auto received = receiver->chunk(kSender, forged);
  ASSERT_TRUE(received && received->ack);
  EXPECT_FALSE(received->ack->ok());
}

// ----------------------------------------------------------------------------------------------- after a restart

TEST_F(SnapshotsTest, ARestartInTheMiddleOfATransferDropsWhatWasStaged) {
  fill(6);
  begin();
  for (int i = 0; i < 3; ++i) {
    deliver(v1::SnapshotChunk(wire.front()));
    wire.pop_front();
  }
  restart();
  ASSERT_TRUE(receiver->resume(kGroup, LogIndex{0}));
  EXPECT_TRUE(nothing_staged());
  run();
  EXPECT_EQ(finished, false) << "the rest of the old transfer is refused, so that the sender begins again";
}

TEST_F(SnapshotsTest, ARestartBeforeTheLogBeginsAnewDropsWhatWasMarked) {
  fill(6);
  begin();
  run();
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  restart();
  ASSERT_TRUE(receiver->resume(kGroup, LogIndex{kPosition.index.value - 1}));
  EXPECT_TRUE(nothing_staged());
  EXPECT_TRUE(group_of(*target_kv).empty());
}

TEST_F(SnapshotsTest, ARestartAfterTheLogBeganAnewFinishesTheSwap) {
  fill(6);
  begin();
  run();
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  restart();
  ASSERT_TRUE(receiver->resume(kGroup, kPosition.index));
  EXPECT_EQ(group_of(*target_kv), group_of(source));
  EXPECT_EQ(read_applied(*target_kv, kGroup), kPosition);
  EXPECT_TRUE(nothing_staged());
}

class SequentialRandom : public Random {
 public:
  explicit SequentialRandom(std::uint64_t v) : v_(v) {}
  void fill(std::span<std::uint8_t> out) override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = i < 8 ? static_cast<std::uint8_t>(v_ >> 8 * i) : 0;
  }

 private:
  std::uint64_t v_;
};

// The state goes back to any border between batches since the last flush, as RocksDB without its own log does.
TEST_F(SnapshotsTest, ASwapThatACrashCutsAtAnyBatchIsFinishedAtTheNextStart) {
  fill(6);
  begin();
  run();
  ASSERT_TRUE(receiver->mark(kGroup, kPosition));
  ASSERT_TRUE(receiver->swap_in(kGroup));
  for (std::uint64_t border = 0; border < 12; ++border) {
    target_kv = std::make_unique<MemKv>();
    restart();
    wire.clear();
    begin();
    run();
    ASSERT_TRUE(receiver->mark(kGroup, kPosition));
    ASSERT_TRUE(receiver->swap_in(kGroup));
    SequentialRandom random(border);
    target_kv->crash(random);
    restart();
    ASSERT_TRUE(receiver->resume(kGroup, kPosition.index));
    EXPECT_EQ(group_of(*target_kv), group_of(source)) << border;
    EXPECT_EQ(read_applied(*target_kv, kGroup), kPosition);
    EXPECT_TRUE(nothing_staged());
  }
}

}  // namespace
}  // namespace evercert::store
