// SPDX-License-Identifier: Apache-2.0
#include "health/verdict.h"

#include <gtest/gtest.h>

#include <cmath>

namespace evercert::health {
namespace {

constexpr RegionId kEast{1}, kWest{2}, kEurope{3};

struct Judge {
  Verdicts verdicts;
  Instant now{1'000'000};
  int changes = 0;

  // Every second all of them say what they see of Europe; so for `seconds`.
  void say(std::initializer_list<std::pair<RegionId, double>> words, int seconds) {
    for (int s = 0; s < seconds; ++s) {
      now = now + 1s;
      for (const auto& [observer, score] : words) verdicts.said(observer, kEurope, score, "seen", now);
      changes += static_cast<int>(verdicts.review(now).size());
    }
  }
  bool out() const { return verdicts.out(kEurope); }
};

TEST(Verdicts, ARegionIsOutAtOnceWhenTwoAgreeAndTheEvidenceIsTold) {
  Judge judge;
  judge.verdicts.said(kEast, kEurope, 0, "no answer", judge.now);
  EXPECT_TRUE(judge.verdicts.review(judge.now).empty());
  judge.verdicts.said(kWest, kEurope, 12, "", judge.now);
  const auto changes = judge.verdicts.review(judge.now);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes.front().region, kEurope);
  EXPECT_TRUE(changes.front().out);
  EXPECT_EQ(changes.front().evidence, "region 1 says 0 (no answer), region 2 says 12");
}

TEST(Verdicts, OneObserverAloneTakesNobodyOutHoweverLongItSaysSo) {
  Judge judge;
  judge.say({{kEast, 0}, {kWest, 100}, {kEurope, 100}}, 600);
  EXPECT_FALSE(judge.out());
}

TEST(Verdicts, TheOwnWordOfARegionCountsAsOne) {
  Judge judge;
  judge.say({{kEast, 0}, {kWest, 100}, {kEurope, 20}}, 1);
  EXPECT_TRUE(judge.out());
}

TEST(Verdicts, AnOldWordSaysNothing) {
  Judge judge;
  judge.verdicts.said(kEast, kEurope, 0, "", judge.now);
  judge.now = judge.now + 16s;
  judge.verdicts.said(kWest, kEurope, 0, "", judge.now);
  EXPECT_TRUE(judge.verdicts.review(judge.now).empty());
}

TEST(Verdicts, WhatIsNoScoreIsNoWord) {
  Judge judge;
  judge.say({{kEast, -1}, {kWest, std::nan("")}, {kEurope, 1e9}}, 3);
  EXPECT_FALSE(judge.out());
}

TEST(Verdicts, ItIsBackOnlyAfterTwoHaveAgreedForHalfAMinute) {
  Judge judge;
  judge.say({{kEast, 0}, {kWest, 0}}, 1);
  judge.say({{kEast, 100}, {kWest, 100}}, 30);
  EXPECT_TRUE(judge.out());
  judge.say({{kEast, 100}, {kWest, 60}}, 1);
  judge.say({{kEast, 100}, {kWest, 100}}, 30);
  EXPECT_TRUE(judge.out()) << "the half minute began anew";
  judge.say({{kEast, 100}, {kWest, 100}}, 1);
  EXPECT_FALSE(judge.out());
}

TEST(Verdicts, AScoreBetweenTheTwoLimitsChangesNothing) {
  Judge judge;
  judge.say({{kEast, 60}, {kWest, 60}}, 100);
  EXPECT_FALSE(judge.out());
  judge.say({{kEast, 0}, {kWest, 0}}, 1);
  judge.say({{kEast, 60}, {kWest, 60}}, 100);
  EXPECT_TRUE(judge.out());
}

TEST(Verdicts, AFlappingRegionChangesTrafficAtMostOnceInHalfAMinuteAndEverMoreRarely) {
  Judge judge;
  for (int i = 0; i < 300; ++i) {
    judge.say({{kEast, 0}, {kWest, 0}}, 2);
    judge.say({{kEast, 100}, {kWest, 100}}, 4);
  }
  EXPECT_EQ(judge.changes, 1) << "it stays out as long as it flaps";

  Judge slow;  // well for 40 s, ill for 5
  int first_half = 0;
  for (int i = 0; i < 40; ++i) {
    slow.say({{kEast, 0}, {kWest, 0}}, 5);
    slow.say({{kEast, 100}, {kWest, 100}}, 40);
    if (i == 19) first_half = slow.changes;
  }
  EXPECT_LE(slow.changes, 40 * 45 / 30);
  EXPECT_LE(slow.changes - first_half, first_half) << "each outage soon after the last is trusted less";
}

}  // namespace
}  // namespace evercert::health
