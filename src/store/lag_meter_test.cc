// SPDX-License-Identifier: Apache-2.0
#include "store/lag_meter.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

constexpr Instant kNow{100'000'000};

TEST(LagMeter, KnowsNothingOfAnEmptyWindow) {
  LagMeter meter;
  EXPECT_EQ(meter.quantile(0.99, kNow), 0);
}

TEST(LagMeter, AQuantileIsASampleOfTheWindow) {
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

TEST(LagMeter, WhatIsOlderThanTheWindowIsForgottenAlsoWhenNothingFollows) {
  LagMeter meter(5s);
  meter.sample(900, kNow);
  EXPECT_EQ(meter.quantile(0.99, kNow + 5s), 900);
  EXPECT_EQ(meter.quantile(0.99, kNow + 5s + 1us), 0);
  meter.sample(30, kNow + 6s);
  EXPECT_EQ(meter.quantile(1, kNow + 6s), 30);
}

TEST(LagMeter, AProposersClockAheadOfOursIsNoNegativeLag) {
  LagMeter meter;
  meter.sample(-40, kNow);
  EXPECT_EQ(meter.quantile(0.5, kNow), 0);
}

TEST(LagMeter, AtHighRatesTheWindowIsShorterAndTheMemoryBounded) {
  LagMeter meter;
  for (int i = 0; i < 20'000; ++i) meter.sample(500, kNow);
  for (int i = 0; i < 20'000; ++i) meter.sample(1, kNow + 1s);
  EXPECT_EQ(meter.quantile(1, kNow + 1s), 1);
}

}  // namespace
}  // namespace evercert::store
