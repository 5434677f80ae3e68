// SPDX-License-Identifier: Apache-2.0
// Where a measured value is going: its trend, and when it will pass a limit if it goes on so. Trend: the median of the
// slopes between all pairs of points (Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA
// 1968), which a third of wild points does not move; only believed when Kendall's tau says that it is no chance. And
// how often such forecasts came true. Pure; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/time.h"

namespace evercert::health {

struct Trend {
  double now = 0;         // the value of now, by the trend
  double per_second = 0;  // 0: there is none that is not chance
};

// A window of means: each point is the mean of what was measured in `step`.
class Series {
 public:
  static constexpr std::size_t kMost = 64;
  explicit Series(Duration step) : step_(step) {}

  void measured(double value, Instant now);  // what is not finite is left out
  // nullopt: not enough points to say anything (a quarter of the window).
  std::optional<Trend> trend(Instant now) const;

 private:
  struct Point {
    double sum = 0;
    std::uint64_t count = 0;
    std::int64_t slot = 0;
    double mean() const { return sum / static_cast<double>(count); }
  };
  Duration step_;
  std::deque<Point> points_;
};

// How long until it passes `limit` (upwards, or downwards when `below`); zero: it has. nullopt: never, as it looks.
std::optional<Duration> time_to(const Trend& trend, double limit, bool below = false);

// Keeps count of what was forecast for `horizon` ahead and what came.
class BackTest {
 public:
  explicit BackTest(Duration horizon) : horizon_(horizon) {}

  // At `now` it is said that the limit will be passed within the horizon, or that it will not. At most one forecast in
  // a fortieth of the horizon is kept.
  void forecast(bool will_pass, Instant now);
  // What is true at `now`. Forecasts whose horizon is over are judged by whether it was so at any time in it.
  void observed(bool passed, Instant now);

  struct Count {
    std::uint64_t warned_and_came = 0, warned_in_vain = 0, came_unwarned = 0, rightly_quiet = 0;
    // Of the warnings, and of what came: 1 when there were none.
    double came_true() const;
    double foreseen() const;
  };
  const Count& count() const { return count_; }
  // Counts on from there.
  void resume(const Count& count) { count_ = count; }

 private:
  struct Open {
    Instant at;
    bool will_pass = false, came = false;
  };
  Duration horizon_;
  std::deque<Open> open_;
  Count count_;
};

}  // namespace evercert::health
