// SPDX-License-Identifier: Apache-2.0
#include "coordination/auto_compaction.h"

#include <gtest/gtest.h>

namespace evercert::coordination {
namespace {

constexpr Instant kStart{1'000'000'000};
using Mode = CompactionPolicy::Mode;

Meta at(std::int64_t revision, std::int64_t compacted = 0) { return {revision, compacted}; }

TEST(AutoCompaction, OffNeverLooks) { EXPECT_FALSE(AutoCompaction({}).due(kStart + 24h * 365)); }

TEST(AutoCompaction, WhatWasTheLatestWithinTheRetentionIsKept) {
  AutoCompaction compaction({Mode::kPeriodic, 1h, 0});
  std::int64_t revision = 1;
  // A revision a minute, looked at when it is due.
  std::optional<std::int64_t> last;
  for (int minute = 0; minute < 300; ++minute) {
    const Instant now = kStart + minute * 1min;
    revision = 1 + minute;
    if (!compaction.due(now)) continue;
    const auto to = compaction.look(at(revision, last.value_or(0)), now);
    EXPECT_FALSE(to && minute < 60) << "minute " << minute;
    if (!to) continue;
    EXPECT_LE(*to, revision - 60);
    EXPECT_GE(*to, revision - 66) << "no more than a tenth of the retention is kept beyond it";
    EXPECT_GT(*to, last.value_or(0));
    last = to;
  }
  EXPECT_GT(last.value_or(0), 200);
}

TEST(AutoCompaction, AKeySpaceThatRestsIsCompactedToItsLatestRevisionAndThenLeftAlone) {
  AutoCompaction compaction({Mode::kPeriodic, 10min, 0});
  for (int minute = 0; minute < 10; ++minute) EXPECT_FALSE(compaction.look(at(50), kStart + minute * 1min));
  EXPECT_EQ(compaction.look(at(50), kStart + 10min), 50);
  EXPECT_EQ(compaction.look(at(50), kStart + 11min), 50) << "the command was lost: it is said again";
  EXPECT_FALSE(compaction.look(at(50, 50), kStart + 12min));
}

TEST(AutoCompaction, WhoHasJustStartedKeepsEverythingForAWholeRetention) {
  AutoCompaction compaction({Mode::kPeriodic, 1h, 0});
  for (int minute = 0; minute < 60; minute += 6)
    EXPECT_FALSE(compaction.look(at(1'000'000 + minute), kStart + minute * 1min));
  EXPECT_EQ(compaction.look(at(2'000'000), kStart + 60min), 1'000'000);
}

TEST(AutoCompaction, AReplicaThatLagsKeepsMore) {
  AutoCompaction leads({Mode::kPeriodic, 1h, 0}), lags({Mode::kPeriodic, 1h, 0});
  std::optional<std::int64_t> first, second;
  for (int minute = 0; minute <= 90; minute += 6) {
    first = leads.look(at(100 + minute), kStart + minute * 1min);
    second = lags.look(at(80 + minute), kStart + minute * 1min);
  }
  ASSERT_TRUE(first && second);
  EXPECT_LT(*second, *first);
}

TEST(AutoCompaction, TheLatestRevisionsAreKept) {
  AutoCompaction compaction({Mode::kRevision, {}, 1000});
  EXPECT_FALSE(compaction.look(at(900), kStart));
  EXPECT_FALSE(compaction.look(at(1001), kStart)) << "revision 1 is the empty key space: nothing can go";
  EXPECT_EQ(compaction.look(at(1500), kStart), 500);
  EXPECT_FALSE(compaction.look(at(1500, 500), kStart));
  EXPECT_FALSE(compaction.due(kStart + 299s));
  EXPECT_TRUE(compaction.due(kStart + 300s));
}

}  // namespace
}  // namespace evercert::coordination
