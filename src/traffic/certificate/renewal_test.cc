// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/renewal.h"

#include <gtest/gtest.h>

namespace evercert::traffic {
namespace {

constexpr std::int64_t kHour = 3600 * 1000, kDay = 24 * kHour;
constexpr Validity kQuarter{{10 * kDay}, {100 * kDay}};

TEST(Renewal, WithoutACertificateItIsDueAtOnce) {
  const Renewal renewal;
  EXPECT_TRUE(renewal.due({1}));
  EXPECT_EQ(renewal.alarm({kDay}), Renewal::Alarm::kNone);
}

TEST(Renewal, ItIsDueBetweenTwoThirdsAndThreeQuartersOfTheLife) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  EXPECT_EQ(renewal.next().ms, 70 * kDay);
  renewal.installed(kQuarter, 0.999);
  EXPECT_GT(renewal.next().ms, 77 * kDay);
  EXPECT_LT(renewal.next().ms, 78 * kDay);
  EXPECT_FALSE(renewal.due({70 * kDay}));
}

TEST(Renewal, TheServersWindowCountsAndTheSameOneAgainMovesNothing) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  renewal.suggested({40 * kDay}, {42 * kDay}, 0.5);
  EXPECT_EQ(renewal.next().ms, 41 * kDay);
  renewal.suggested({40 * kDay}, {42 * kDay}, 0.9);
  EXPECT_EQ(renewal.next().ms, 41 * kDay);
  // Revoked: a window in the past.
  renewal.suggested({11 * kDay}, {12 * kDay}, 0.5);
  EXPECT_TRUE(renewal.due({13 * kDay}));
}

TEST(Renewal, NoWindowLeavesLessThanATenthOfTheLife) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  renewal.suggested({99 * kDay}, {200 * kDay}, 0.5);
  EXPECT_EQ(renewal.next().ms, 91 * kDay);
  renewal.suggested({90 * kDay}, {80 * kDay}, 0.5);
  EXPECT_EQ(renewal.next().ms, 91 * kDay) << "a window that ends before it begins is none";
}

TEST(Renewal, FailuresWaitTwiceAsLongEachTimeAndAnHourAtMost) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  const WallTime now{70 * kDay};
  std::int64_t before = 0;
  for (int i = 0; i < 40; ++i) {
    renewal.failed(now, 0.5);
    const std::int64_t wait = renewal.next().ms - now.ms;
    if (i == 0) {
      EXPECT_EQ(wait, 5000);
    }
    if (i > 0 && i < 9) {
      EXPECT_EQ(wait, 2 * before);
    }
    EXPECT_LE(wait, kHour);
    before = wait;
  }
  EXPECT_EQ(before, kHour);
  EXPECT_EQ(renewal.failures(), 40);
}

TEST(Renewal, TheNearerTheEndTheMoreOftenItIsTried) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  for (int i = 0; i < 20; ++i) renewal.failed({100 * kDay - 10 * 60'000}, 0.5);
  EXPECT_EQ(renewal.next().ms, 100 * kDay - 10 * 60'000 + 75'000);
  renewal.failed({100 * kDay - 1000}, 0.5);
  EXPECT_EQ(renewal.next().ms, 100 * kDay + 9000);
  renewal.failed({101 * kDay}, 0.5);
  EXPECT_EQ(renewal.next().ms, 101 * kDay + 300'000);
}

TEST(Renewal, ASuccessForgetsTheFailures) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  renewal.failed({90 * kDay}, 0.5);
  renewal.installed({{90 * kDay}, {180 * kDay}}, 0);
  EXPECT_EQ(renewal.next().ms, 150 * kDay);
  EXPECT_EQ(renewal.failures(), 0);
}

TEST(Renewal, WhatIsWantedIsDueButNotBeforeThePauseOfAFailure) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  renewal.wanted({20 * kDay});
  EXPECT_TRUE(renewal.due({20 * kDay}));
  renewal.failed({20 * kDay}, 0.5);
  EXPECT_FALSE(renewal.due({20 * kDay + 4999}));
  EXPECT_TRUE(renewal.due({20 * kDay + 5000}));
  renewal.forced();
  EXPECT_TRUE(renewal.due({20 * kDay}));
}

TEST(Renewal, WhatIsWantedIsTriedAgainWhateverTheServerSuggestsMeanwhile) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  renewal.forced();
  renewal.failed({20 * kDay}, 0.5);
  renewal.suggested({60 * kDay}, {70 * kDay}, 0.5);
  EXPECT_EQ(renewal.next().ms, 20 * kDay + 5000);
  renewal.installed(kQuarter, 0);
  renewal.suggested({60 * kDay}, {70 * kDay}, 0.5);
  EXPECT_EQ(renewal.next().ms, 65 * kDay) << "what was wanted is there";
}

TEST(Renewal, TheEndDoesNotComeSilently) {
  Renewal renewal;
  renewal.installed(kQuarter, 0);
  EXPECT_EQ(renewal.alarm({88 * kDay}), Renewal::Alarm::kNone);
  EXPECT_EQ(renewal.alarm({89 * kDay}), Renewal::Alarm::kNearEnd);
  EXPECT_EQ(renewal.alarm({100 * kDay}), Renewal::Alarm::kExpired);
}

}  // namespace
}  // namespace evercert::traffic
