// SPDX-License-Identifier: Apache-2.0
#include "health/dependencies.h"

#include <gtest/gtest.h>

#include "health/board.h"

namespace evercert::health {
namespace {

TEST(Dependencies, EveryGroupThatCannotBeReadIsNamed) {
  EXPECT_TRUE(judge_reads({{"global", true}, {"us-east-1", true}}).passed);
  const auto one = judge_reads({{"global", true}, {"us-east-1", false}});
  EXPECT_FALSE(one.passed) << "one that is well does not hide one that is not";
  EXPECT_EQ(one.why, "no fresh read of us-east-1: no majority is reached");
  EXPECT_EQ(judge_reads({{"global", false}, {"us-east-1", false}}).why,
            "no fresh read of global, us-east-1: no majority is reached");
  EXPECT_TRUE(judge_reads({}).passed) << "a cluster of one region follows no other's group";
}

TEST(Dependencies, WhatOtherRegionsLeadCostsPointsAndSendsNobodyAway) {
  Component followed("followed groups", kFollowedCheck, Instant{0});
  Instant now{0};
  const auto check = [&](const CheckResult& result) {
    while (!followed.due(now)) now = now + 100ms;
    followed.began(now);
    followed.ended(result, now);
  };
  check(judge_reads({{"us-west-2", true}}));
  EXPECT_EQ(followed.score().points, 100);
  check(judge_reads({{"us-west-2", false}}));
  EXPECT_EQ(followed.score().points, 87.5);
  check(judge_reads({{"us-west-2", false}}));
  EXPECT_EQ(followed.score().to_text(),
            "75: followed groups down (no fresh read of us-west-2: no majority is reached)");
  EXPECT_GT(followed.score().points, VerdictOptions{}.out_below) << "no region is out for it";
  EXPECT_GT(followed.score().points, VerdictOptions{}.in_from) << "and none is kept from coming back";
  double before = followed.score().points;
  for (int pass = 0; pass < kFollowedCheck.healthy; ++pass) {
    check(judge_reads({{"us-west-2", true}}));
    EXPECT_GT(followed.score().points, before) << "it rises with every pass";
    before = followed.score().points;
  }
  EXPECT_EQ(before, 100);
}

TEST(Dependencies, AClockThatIsOffCostsPointsBeforeNothingIsSigned) {
  EXPECT_EQ(judge_clock(0, true).points, 100);
  EXPECT_EQ(judge_clock(-1900, true).points, 100);
  EXPECT_EQ(judge_clock(6000, true).to_text(), "50: the clock is 6.0 s ahead of the median of its peers'");
  EXPECT_EQ(judge_clock(-6000, true).to_text(), "50: the clock is 6.0 s behind the median of its peers'");
  EXPECT_EQ(judge_clock(-12'500, false).to_text(),
            "0: the clock is 12.5 s behind the median of its peers', and nothing is signed");
}

}  // namespace
}  // namespace evercert::health
