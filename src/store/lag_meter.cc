// SPDX-License-Identifier: Apache-2.0
#include "store/lag_meter.h"

#include <algorithm>
#include <vector>

namespace evercert::store {
namespace {
constexpr std::size_t kMostSamples = 20'000;  // at high rates the window is shorter, the memory bounded
}

void LagMeter::sample(std::int64_t lag_ms, Instant now) {
  samples_.push_back({now, std::max<std::int64_t>(0, lag_ms)});
  while (samples_.size() > kMostSamples || samples_.front().at + window_ < now) samples_.pop_front();
}

std::int64_t LagMeter::quantile(double p, Instant now) const {
  std::vector<std::int64_t> lags;
  for (const Sample& sample : samples_) {
    if (sample.at + window_ >= now) lags.push_back(sample.lag_ms);
  }
  if (lags.empty()) return 0;
  const auto rank = static_cast<std::ptrdiff_t>(p * static_cast<double>(lags.size() - 1) + 0.5);
  std::nth_element(lags.begin(), lags.begin() + rank, lags.end());
  return lags[static_cast<std::size_t>(rank)];
}

}  // namespace evercert::store
