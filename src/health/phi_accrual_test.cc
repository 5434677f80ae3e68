// SPDX-License-Identifier: Apache-2.0
#include "health/phi_accrual.h"

#include <gtest/gtest.h>

#include <random>

namespace evercert::health {
namespace {

// How long the silence lasts, in milliseconds, until the suspicion is 8.
int patience_ms(const PhiAccrual& detector, Instant heard) {
  for (int ms = 0; ms < 60'000; ++ms) {
    if (detector.phi(heard + std::chrono::milliseconds(ms)) >= 8) return ms;
  }
  return 60'000;
}

TEST(PhiAccrual, SuspicionGrowsWithSilenceAndIsGoneWithTheNextMessage) {
  PhiAccrual detector;
  EXPECT_EQ(detector.phi(Instant{5'000'000}), 0) << "nobody is suspected of not having begun";
  Instant now{0};
  for (int i = 0; i < 50; ++i) detector.heard(now = now + 200ms);
  EXPECT_LT(detector.phi(now + 200ms), 1);
  double before = 0;
  for (Duration silence = 0ms; silence < 2s; silence += 50ms) {
    EXPECT_GE(detector.phi(now + silence), before);
    before = detector.phi(now + silence);
  }
  EXPECT_GT(before, 8);
  detector.heard(now + 2s);
  EXPECT_LT(detector.phi(now + 2s), 0.1);
}

TEST(PhiAccrual, ADeadNodeWithAHeartbeatOf150MsIsSuspectedWithinASecond) {
  std::mt19937 random(7);
  std::normal_distribution<double> jitter(0, 15'000);
  PhiAccrual detector({.expected = 150ms});
  Instant now{0};
  for (int i = 0; i < 200; ++i)
    detector.heard(now = now + 150ms + Duration(static_cast<std::int64_t>(std::max(-100'000.0, jitter(random)))));
  EXPECT_LT(detector.phi(now + 300ms), 8);
  EXPECT_GT(detector.phi(now + 1s), 8);
}

TEST(PhiAccrual, ASenderThatIsUnsteadyIsGivenMoreTime) {
  PhiAccrual steady, unsteady;
  Instant a{0}, b{0};
  for (int i = 0; i < 100; ++i) {
    steady.heard(a = a + 200ms);
    unsteady.heard(b = b + (i % 2 == 0 ? 20ms : 380ms));
  }
  EXPECT_GT(patience_ms(unsteady, b), patience_ms(steady, a));
}

TEST(PhiAccrual, AnOutageDoesNotTeachItToWaitLonger) {
  PhiAccrual detector;
  Instant now{0};
  for (int i = 0; i < 100; ++i) detector.heard(now = now + 200ms);
  const int patience = patience_ms(detector, now);
  for (int i = 0; i < 5; ++i) detector.heard(now = now + 60s);
  EXPECT_EQ(patience_ms(detector, now), patience);
}

TEST(PhiAccrual, FalseAlarmsAreAsRareAsPhiSays) {
  std::mt19937 random(11);
  std::normal_distribution<double> interval(200'000, 60'000);
  PhiAccrual detector({.window = 1000});
  Instant now{0};
  int alarms = 0;
  constexpr int kMessages = 100'000;
  for (int i = 0; i < kMessages; ++i) {
    const Instant next = now + Duration(static_cast<std::int64_t>(std::max(1000.0, interval(random))));
    if (i > 1000 && detector.phi(next) >= 3) ++alarms;  // once in a thousand
    detector.heard(now = next);
  }
  EXPECT_GT(alarms, kMessages / 1000 / 3);
  EXPECT_LT(alarms, kMessages / 1000 * 3);
}

}  // namespace
}  // namespace evercert::health
