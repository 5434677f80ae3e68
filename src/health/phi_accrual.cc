// SPDX-License-Identifier: Apache-2.0
#include "health/phi_accrual.h"

#include <algorithm>
#include <cmath>

namespace evercert::health {
namespace {

constexpr double kMostPhi = 300;       // beyond, the chance is not a number any more
constexpr std::size_t kEnough = 8;     // intervals, to believe them more than what was expected
constexpr double kLongestOfMeans = 8;  // a longer interval was an outage: it teaches nothing about the sender

double chance_of_later(double deviations) { return 0.5 * std::erfc(deviations / std::sqrt(2.0)); }

}  // namespace

void PhiAccrual::heard(Instant now) {
  if (!heard_) {
    heard_ = true;
    last_ = now;
    return;
  }
  const double interval = static_cast<double>((now - last_).count());
  last_ = std::max(last_, now);
  if (interval < 0 || interval > kLongestOfMeans * mean_us()) return;
  intervals_.push_back(interval);
  sum_ += interval;
  squares_ += interval * interval;
  if (intervals_.size() > options_.window) {
    sum_ -= intervals_.front();
    squares_ -= intervals_.front() * intervals_.front();
    intervals_.pop_front();
  }
}

double PhiAccrual::mean_us() const {
  const double expected = static_cast<double>(options_.expected.count());
  if (intervals_.size() < kEnough) return expected;
  return sum_ / static_cast<double>(intervals_.size());
}

double PhiAccrual::spread_us() const {
  const double least = static_cast<double>(options_.least_spread.count());
  if (intervals_.size() < kEnough) return std::max(least, static_cast<double>(options_.expected.count()) / 2);
  const double n = static_cast<double>(intervals_.size());
  const double mean = sum_ / n;
  return std::max(least, std::sqrt(std::max(0.0, squares_ / n - mean * mean)));
}

double PhiAccrual::phi(Instant now) const {
  if (!heard_) return 0;
  const double silence = static_cast<double>((now - last_ - options_.pause).count());
  const double chance = chance_of_later((silence - mean_us()) / spread_us());
  return chance <= 0 ? kMostPhi : std::clamp(-std::log10(chance), 0.0, kMostPhi);
}

}  // namespace evercert::health
