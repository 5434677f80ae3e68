// SPDX-License-Identifier: Apache-2.0
#include "recovery/capacity/meter.h"

#include <gtest/gtest.h>

namespace evercert::recovery {
namespace {

Instant second(double s) { return Instant{static_cast<std::int64_t>(s * 1e6)}; }

TEST(Meter, TellsOfTheLastTenWholeSeconds) {
  Meter meter;
  for (int s = 0; s < 30; ++s) {
    for (int i = 0; i < 100; ++i) {
      meter.begun();
      meter.ended(i == 0 ? 503 : 200, i < 2 ? 400ms : 5ms, second(s + 0.5));
    }
  }
  const auto load = meter.load(second(30.1));
  EXPECT_DOUBLE_EQ(load.rate, 100);
  EXPECT_DOUBLE_EQ(load.errors, 0.01);
  EXPECT_EQ(load.in_flight, 0u);
  EXPECT_GE(load.p99, 400ms);
  EXPECT_LE(load.p99, 480ms);
  EXPECT_DOUBLE_EQ(meter.load(second(45)).rate, 0) << "what was is not what is";
}

TEST(Meter, OnePercentThatIsSlowIsNotTheNinetyNinthPercentile) {
  Meter meter;
  for (int i = 0; i < 1000; ++i) {
    meter.begun();
    meter.ended(200, i < 10 ? 2s : 1ms, second(1));
  }
  EXPECT_LT(meter.load(second(2.5)).p99, 2ms);
  meter.begun();
  meter.ended(200, 2s, second(1));
  EXPECT_GE(meter.load(second(2.5)).p99, 2s);
}

TEST(Meter, CountsWhatIsInFlight) {
  Meter meter;
  meter.begun();
  meter.begun();
  meter.ended(200, 1ms, second(1));
  EXPECT_EQ(meter.load(second(1)).in_flight, 1u);
}

TEST(Meter, BusyIsProcessorTimeByTime) {
  Meter meter;
  for (int s = 0; s < 20; ++s) meter.processor(std::chrono::milliseconds(s * 1500), second(s));
  EXPECT_NEAR(meter.load(second(20)).busy, 1.5, 1e-9);
}

}  // namespace
}  // namespace evercert::recovery
