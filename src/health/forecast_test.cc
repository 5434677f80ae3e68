// SPDX-License-Identifier: Apache-2.0
#include "health/forecast.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace evercert::health {
namespace {

constexpr Duration kStep = 10s;

struct Measured {
  Series series{kStep};
  Instant now{0};
  std::mt19937 random{3};

  void feed(int steps, double level, double per_second, double noise) {
    std::normal_distribution<double> off(0, noise);
    for (int i = 0; i < steps; ++i) {
      now = now + kStep;
      const double seconds = static_cast<double>(now.us) / 1e6;
      series.measured(level + per_second * seconds + (noise > 0 ? off(random) : 0), now);
    }
  }
};

TEST(Forecast, ADiskThatFillsIsForetoldWithItsTime) {
  Measured disk;
  disk.feed(60, 20, 0.01, 0.5);  // percent: full in (100 - 20) / 0.01 = 8,000 s, of which 600 have passed
  const auto trend = disk.series.trend(disk.now);
  ASSERT_TRUE(trend);
  const auto left = time_to(*trend, 100);
  ASSERT_TRUE(left);
  EXPECT_NEAR(static_cast<double>(left->count()) / 1e6, 7400, 700);
}

TEST(Forecast, NoiseAloneIsNoTrend) {
  int believed = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    Measured noise;
    noise.random.seed(seed);
    noise.feed(64, 50, 0, 5);
    const auto trend = noise.series.trend(noise.now);
    ASSERT_TRUE(trend);
    believed += trend->per_second != 0 ? 1 : 0;
  }
  EXPECT_LE(believed, 8) << "of 200; one in a hundred is to be expected";
}

TEST(Forecast, AThirdOfWildPointsDoesNotMoveTheTrend) {
  Measured m;
  for (int i = 0; i < 60; ++i) {
    m.now = m.now + kStep;
    const double seconds = static_cast<double>(m.now.us) / 1e6;
    m.series.measured(i % 4 == 0 ? 5000 : 10 + 0.1 * seconds, m.now);
  }
  const auto trend = m.series.trend(m.now);
  ASSERT_TRUE(trend);
  EXPECT_NEAR(trend->per_second, 0.1, 0.03);
}

TEST(Forecast, TooFewPointsSayNothingAndWhatIsNotANumberIsNoPoint) {
  Measured m;
  for (int i = 0; i < 100; ++i) m.series.measured(std::numeric_limits<double>::quiet_NaN(), m.now = m.now + kStep);
  EXPECT_FALSE(m.series.trend(m.now));
  m.feed(15, 1, 1, 0);
  EXPECT_FALSE(m.series.trend(m.now));
  m.feed(1, 1, 1, 0);
  EXPECT_TRUE(m.series.trend(m.now));
}

TEST(Forecast, AWindowForgetsWhatWasBeforeIt) {
  Measured m;
  m.feed(200, 0, 1, 0);
  Measured flat = m;
  const double level = static_cast<double>(m.now.us) / 1e6;
  flat.feed(64, level, 0, 0.01);
  ASSERT_TRUE(flat.series.trend(flat.now));
  EXPECT_NEAR(flat.series.trend(flat.now)->per_second, 0, 1e-3);
  // After a long silence there is nothing left to go by.
  m.series.measured(1, m.now + kStep * 1000);
  EXPECT_FALSE(m.series.trend(m.now + kStep * 1000));
}

TEST(Forecast, TimeIsToldTowardsALimitAndNeverAwayFromIt) {
  EXPECT_EQ(time_to({50, 1}, 100), Duration{50s});
  EXPECT_EQ(time_to({50, -1}, 100), std::nullopt);
  EXPECT_EQ(time_to({50, -1}, 0, true), Duration{50s});
  EXPECT_EQ(time_to({120, 0}, 100), Duration{0}) << "it has passed";
  EXPECT_EQ(time_to({50, 0}, 100), std::nullopt);
  EXPECT_EQ(time_to({50, 1e-12}, 100), std::nullopt) << "centuries are no forecast";
}

TEST(BackTest, CountsWarningsThatCameTrueAndWhatCameUnwarned) {
  BackTest test(1000s);
  Instant now{0};
  const auto round = [&](bool warned, bool comes) {
    test.forecast(warned, now);
    test.observed(comes, now + 500s);
    now = now + 1001s;
    test.observed(false, now);
  };
  round(true, true);
  round(true, true);
  round(true, false);
  round(false, true);
  round(false, false);
  EXPECT_EQ(test.count().warned_and_came, 2u);
  EXPECT_EQ(test.count().warned_in_vain, 1u);
  EXPECT_EQ(test.count().came_unwarned, 1u);
  EXPECT_EQ(test.count().rightly_quiet, 1u);
  EXPECT_NEAR(test.count().came_true(), 2.0 / 3, 1e-9);
  EXPECT_NEAR(test.count().foreseen(), 2.0 / 3, 1e-9);
}

TEST(BackTest, ForecastsAboutFillingDisksComeTrue) {
  BackTest test(3600s);
  for (unsigned seed = 0; seed < 60; ++seed) {
    Measured disk;
    disk.random.seed(seed);
    const double speed = seed % 2 == 0 ? 0.01 : 0.0;  // percent a second; every second one does not fill
    for (int i = 0; i < 1000; ++i) {
      disk.feed(1, 20, speed, 0.3);
      const double level = 20 + speed * static_cast<double>(disk.now.us) / 1e6;
      const Instant at = disk.now + Duration(static_cast<std::int64_t>(seed) * 20'000'000'000);
      test.observed(level >= 100, at);
      if (level >= 100) continue;
      const auto trend = disk.series.trend(disk.now);
      const auto left = trend ? time_to(*trend, 100) : std::nullopt;
      test.forecast(left && *left <= 3600s, at);
    }
  }
  EXPECT_GT(test.count().warned_and_came, 100u);
  EXPECT_GT(test.count().came_true(), 0.9);
  EXPECT_GT(test.count().foreseen(), 0.9);
}

}  // namespace
}  // namespace evercert::health
