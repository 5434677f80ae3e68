// SPDX-License-Identifier: Apache-2.0
#include "health/forecast.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace evercert::health {
namespace {

constexpr std::size_t kEnough = Series::kMost / 4;
constexpr double kSure = 2.6;  // standard deviations of Kendall's S: wrong once in a hundred times

double share(std::uint64_t of, std::uint64_t all) {
  return all == 0 ? 1 : static_cast<double>(of) / static_cast<double>(all);
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void Series::measured(double value, Instant now) {
  if (!std::isfinite(value)) return;
  const std::int64_t slot = now.us / step_.count();
  if (points_.empty() || points_.back().slot < slot) points_.push_back({0, 0, slot});
  points_.back().sum += value;
  ++points_.back().count;
  while (points_.front().slot <= slot - static_cast<std::int64_t>(kMost)) points_.pop_front();
}

std::optional<Trend> Series::trend(Instant now) const {
  const std::size_t n = points_.size();
  if (n < kEnough) return std::nullopt;
  std::vector<double> slopes;
  slopes.reserve(n * (n - 1) / 2);
  double s = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      const double rise = points_[j].mean() - points_[i].mean();
      s += rise > 0 ? 1 : rise < 0 ? -1 : 0;
      slopes.push_back(rise / static_cast<double>(points_[j].slot - points_[i].slot));
    }
  }
  const double count = static_cast<double>(n);
  const double deviation = std::sqrt(count * (count - 1) * (2 * count + 5) / 18);
  const double per_slot = std::abs(s) < kSure * deviation ? 0 : median(slopes);
  // The line through the medians.
  std::vector<double> levels;
  levels.reserve(n);
  const double slot_now = static_cast<double>(now.us) / static_cast<double>(step_.count());
  for (const Point& point : points_)
    levels.push_back(point.mean() + per_slot * (slot_now - static_cast<double>(point.slot) - 0.5));
  return Trend{median(levels), per_slot * 1e6 / static_cast<double>(step_.count())};
}

std::optional<Duration> time_to(const Trend& trend, double limit, bool below) {
  const double left = below ? trend.now - limit : limit - trend.now;
  if (left <= 0) return Duration{0};
  const double speed = below ? -trend.per_second : trend.per_second;
  if (speed <= 0) return std::nullopt;
  const double seconds = left / speed;
  constexpr double kLongest = 10.0 * 365 * 86400;  // beyond, it is no forecast
  if (seconds > kLongest) return std::nullopt;
  return Duration{static_cast<std::int64_t>(seconds * 1e6)};
}

void BackTest::forecast(bool will_pass, Instant now) {
  if (!open_.empty() && now - open_.back().at < horizon_ / 40) return;
  open_.push_back({now, will_pass, false});
}

void BackTest::observed(bool passed, Instant now) {
  while (!open_.empty() && now - open_.front().at > horizon_) {
    const Open& one = open_.front();
    ++(one.will_pass ? (one.came ? count_.warned_and_came : count_.warned_in_vain)
                     : (one.came ? count_.came_unwarned : count_.rightly_quiet));
    open_.pop_front();
  }
  if (!passed) return;
  for (Open& one : open_) one.came = true;
}

double BackTest::Count::came_true() const { return share(warned_and_came, warned_and_came + warned_in_vain); }
double BackTest::Count::foreseen() const { return share(warned_and_came, warned_and_came + came_unwarned); }

}  // namespace evercert::health
