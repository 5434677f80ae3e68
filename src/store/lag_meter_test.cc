// SPDX-License-Identifier: Apache-2.0
#include "store/lag_meter.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

constexpr Instant kNow{100'000'000};

TEST(LagMeter, KnowsNothingOfAnEmptyWindow) {
  LagMeter meter;
  EXPECT_EQ(meter.quantile(0.99, kNow), 0);
  EXPECT_TRUE(meter.since_start().empty());
}

TEST(LagMeter, AQuantileIsALagThatCame) {
  LagMeter meter;
  for (int ms = 1; ms <= 100; ++ms) meter.sample(ms, kNow);
  EXPECT_EQ(meter.quantile(0, kNow), 1);
  EXPECT_EQ(meter.quantile(0.5, kNow), 51);
  EXPECT_EQ(meter.quantile(0.99, kNow), 99);
  EXPECT_EQ(meter.quantile(1, kNow), 100);
}

TEST(LagMeter, OneSampleIsEveryQuantile) {
  LagMeter meter;
  meter.sample(72, kNow);
  EXPECT_EQ(meter.quantile(0.01, kNow), 72);
  EXPECT_EQ(meter.quantile(0.99, kNow), 72);
}

TEST(LagMeter, WhatIsOlderThanFiveWholeSecondsIsForgottenAlsoWhenNothingFollows) {
  LagMeter meter;
  meter.sample(90, kNow);
  EXPECT_EQ(meter.quantile(0.99, kNow + 6s - 1us), 90);
  EXPECT_EQ(meter.quantile(0.99, kNow + 6s), 0);
  meter.sample(30, kNow + 6s);
  EXPECT_EQ(meter.quantile(1, kNow + 6s), 30);
  EXPECT_EQ(meter.since_start(), (LagCounts{{30, 1}, {90, 1}}));
}

TEST(LagMeter, AProposersClockAheadOfOursIsNoNegativeLag) {
  LagMeter meter;
  meter.sample(-40, kNow);
  EXPECT_EQ(meter.since_start(), (LagCounts{{0, 1}}));
}

TEST(LagMeter, LargeLagsAreCountedInStepsAndNeverTooSmall) {
  for (const std::int64_t lag : {255, 256, 271, 272, 1000, 4095, 4096, 5000, 59'999, 61'439}) {
    LagMeter meter;
    meter.sample(lag, kNow);
    const std::int64_t told = meter.quantile(1, kNow);
    EXPECT_GE(told, lag);
    EXPECT_LE(told, lag < 256 ? lag : lag < 4096 ? lag + lag / 16 : lag + lag / 4);
  }
  LagMeter meter;
  meter.sample(3'600'000, kNow);
  EXPECT_EQ(meter.quantile(1, kNow), 61'439);
}

TEST(LagMeter, TheQuantileBetweenTwoReadingsIsThatOfWhatCameInBetween) {
  LagMeter meter;
  for (int i = 0; i < 1000; ++i) meter.sample(13'000, kNow);
  const LagCounts caught_up = meter.since_start();
  EXPECT_EQ(quantile_between(caught_up, meter.since_start(), 0.99), 0);
  for (int i = 0; i < 98; ++i) meter.sample(72, kNow);
  for (int i = 0; i < 2; ++i) meter.sample(90, kNow);
  EXPECT_EQ(quantile_between(caught_up, meter.since_start(), 0.5), 72);
  EXPECT_EQ(quantile_between(caught_up, meter.since_start(), 0.99), 90);
}

}  // namespace
}  // namespace evercert::store
