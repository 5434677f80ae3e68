// SPDX-License-Identifier: Apache-2.0
#include "health/foresight.h"

#include <gtest/gtest.h>

namespace evercert::health {
namespace {

constexpr std::int64_t kDay = 86'400;

TEST(Foresight, AValueOnItsWayToItsLimitIsForeseenAndTheWarningIsJudged) {
  Foresight seen({});
  Instant now{1'000'000};
  double free = 0.5;
  bool warned = false;
  for (int minute = 0; minute < 400; ++minute) {
    now = now + 60s;
    free = std::max(0.0, free - 0.0025);
    seen.measured("disk", "share free", {0.03, true}, free, now);
    const auto forecast = seen.forecasts(now).at(0);
    warned = warned || (free > 0.03 && forecast.left && *forecast.left <= 3600s);
  }
  EXPECT_TRUE(warned);
  const auto& count = seen.forecasts(now).at(0).count;
  EXPECT_GT(count.warned_and_came, 0u);
  EXPECT_EQ(count.warned_in_vain, 0u);
}

TEST(Foresight, WhatDoesNotMoveIsNotWarnedOf) {
  Foresight seen({});
  Instant now{1'000'000};
  for (int minute = 0; minute < 200; ++minute) {
    now = now + 60s;
    seen.measured("errors", "share", {0.01, false}, minute % 2 == 0 ? 0.001 : 0.002, now);
  }
  const auto forecast = seen.forecasts(now).at(0);
  EXPECT_FALSE(forecast.left);
  EXPECT_EQ(forecast.count.warned_in_vain + forecast.count.warned_and_came, 0u);
}

TEST(Foresight, WhatEndsIsLateWhenAQuarterOfItsLifeIsLeft) {
  Foresight seen({});
  seen.ends("node certificate", 0, 100 * kDay);
  seen.ends("CRL of east", 90 * kDay, 91 * kDay);
  EXPECT_FALSE(seen.endings(74 * kDay).back().late);
  EXPECT_EQ(seen.endings_score(74 * kDay).points, 100);
  const auto endings = seen.endings(90 * kDay);
  ASSERT_EQ(endings.size(), 2u);
  EXPECT_EQ(endings[0].what, "CRL of east") << "the nearest first";
  EXPECT_FALSE(endings[0].late);
  EXPECT_TRUE(endings[1].late);
  const Score score = seen.endings_score(90 * kDay);
  EXPECT_NEAR(score.points, 40, 0.01);
  EXPECT_EQ(score.to_text(), "40: node certificate ends in 10 d and is not renewed");
}

TEST(Foresight, WhatIsOverIsWorthNothingAndWhatIsRenewedIsWellAgain) {
  Foresight seen({});
  seen.ends("CRL of east", 0, kDay);
  EXPECT_EQ(seen.endings_score(kDay + 1).points, 0);
  EXPECT_EQ(seen.endings_score(kDay + 1).to_text(), "0: CRL of east is over");
  EXPECT_LT(seen.endings(kDay + 1)[0].left_seconds, 0);
  seen.ends("CRL of east", kDay, 2 * kDay);
  EXPECT_EQ(seen.endings_score(kDay + 1).points, 100);
}

TEST(Foresight, TimesAreSaidAsPeopleSayThem) {
  EXPECT_EQ(in_words(3 * kDay + 5), "3 d");
  EXPECT_EQ(in_words(7200), "2 h 0 min");
  EXPECT_EQ(in_words(600), "10 min");
  EXPECT_EQ(in_words(59), "59 s");
}

}  // namespace
}  // namespace evercert::health
