// SPDX-License-Identifier: Apache-2.0
#include "store/freshness.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

constexpr GroupId kGroup{1};

TEST(TailIndex, NamesTheLastEntryOnARecordThatIsNotApplied) {
  TailIndex tail;
  EXPECT_EQ(tail.pending("a"), LogIndex{0});
  tail.appended(LogIndex{1}, {"a"});
  tail.appended(LogIndex{2}, {"b", "a"});
  tail.appended(LogIndex{3}, {"b"});
  EXPECT_EQ(tail.pending("a"), LogIndex{2});
  EXPECT_EQ(tail.pending("b"), LogIndex{3});
  EXPECT_EQ(tail.pending("c"), LogIndex{0}) << "readers of other records never wait";
}

TEST(TailIndex, WhatIsAppliedIsNotPendingAnyMore) {
  TailIndex tail;
  for (std::uint64_t i = 1; i <= 3; ++i) tail.appended(LogIndex{i}, {"a"});
  tail.applied_to(LogIndex{2});
  EXPECT_EQ(tail.pending("a"), LogIndex{3});
  tail.applied_to(LogIndex{3});
  EXPECT_EQ(tail.pending("a"), LogIndex{0});
  tail.applied_to(LogIndex{UINT64_MAX});
  EXPECT_EQ(tail.pending("a"), LogIndex{0});
}

TEST(TailIndex, EntriesThatAnotherLeaderOverwritesAreForgottenAndEarlierOnesStay) {
  TailIndex tail;
  tail.appended(LogIndex{1}, {"a"});
  tail.appended(LogIndex{2}, {"a"});
  tail.appended(LogIndex{3}, {"b"});
  tail.truncated_from(LogIndex{2});
  EXPECT_EQ(tail.pending("a"), LogIndex{1});
  EXPECT_EQ(tail.pending("b"), LogIndex{0});
  tail.appended(LogIndex{2}, {"b"});
  EXPECT_EQ(tail.pending("b"), LogIndex{2});
}

TEST(TailIndex, AnEntryThatTouchesNothingIsNotHeld) {
  TailIndex tail;
  tail.appended(LogIndex{1}, {});
  tail.truncated_from(LogIndex{1});
  EXPECT_EQ(tail.pending(""), LogIndex{0});
}

TEST(FreshnessBoard, FreshIsALeaseThatHoldsAndATailThatIsClear) {
  FreshnessBoard board(2);
  EXPECT_FALSE(board.fresh_now(kGroup, "a", Instant{0})) << "no lease yet";
  board.set_leased_until(kGroup, Instant{100}, true);
  EXPECT_TRUE(board.fresh_now(kGroup, "a", Instant{99}));
  EXPECT_FALSE(board.fresh_now(kGroup, "a", Instant{100})) << "the lease has run out";
  EXPECT_FALSE(board.fresh_now(kGlobalGroup, "a", Instant{99})) << "each group has a lease of its own";
  board.tail(kGroup).appended(LogIndex{1}, {"a"});
  EXPECT_FALSE(board.fresh_now(kGroup, "a", Instant{99}));
  EXPECT_TRUE(board.fresh_now(kGroup, "b", Instant{99}));
}

TEST(FreshnessBoard, WithSeveralZonesOwnLeaseAndLogAreNotEnough) {
  FreshnessBoard board(2);
  board.set_leased_until(kGroup, Instant{100}, false);
  EXPECT_TRUE(board.leased(kGroup, Instant{99}));
  EXPECT_FALSE(board.fresh_now(kGroup, "a", Instant{99}));
}

}  // namespace
}  // namespace evercert::store
