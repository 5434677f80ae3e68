// SPDX-License-Identifier: Apache-2.0
#include "store/lag_meter.h"

#include <algorithm>
#include <map>

namespace evercert::store {
namespace {

constexpr std::int64_t kFine = 256, kMiddle = 4096, kMost = 61'440;  // ms
constexpr std::int64_t kMiddleStep = 16, kCoarseStep = 1024;

// Calls `at(i)`, the number of entries with the i-th smallest lag, until the rank of the quantile is reached.
template <class Count>
std::size_t rank_of(double p, std::uint64_t total, std::size_t buckets, Count at) {
  const auto rank = static_cast<std::uint64_t>(p * static_cast<double>(total - 1) + 0.5);
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i < buckets; ++i) {
    passed += at(i);
    if (passed > rank) return i;
  }
  return buckets - 1;
}

}  // namespace

std::size_t LagMeter::bucket_of(std::int64_t lag_ms) {
  const std::int64_t lag = std::clamp<std::int64_t>(lag_ms, 0, kMost - 1);
  if (lag < kFine) return static_cast<std::size_t>(lag);
  if (lag < kMiddle) return static_cast<std::size_t>(kFine + (lag - kFine) / kMiddleStep);
  return static_cast<std::size_t>(kFine + (kMiddle - kFine) / kMiddleStep + (lag - kMiddle) / kCoarseStep);
}

std::int64_t LagMeter::upper_end(std::size_t bucket) {
  const auto b = static_cast<std::int64_t>(bucket);
  constexpr std::int64_t kMiddleSteps = (kMiddle - kFine) / kMiddleStep;
  if (b < kFine) return b;
  if (b < kFine + kMiddleSteps) return kFine + (b - kFine + 1) * kMiddleStep - 1;
  return kMiddle + (b - kFine - kMiddleSteps + 1) * kCoarseStep - 1;
}

void LagMeter::sample(std::int64_t lag_ms, Instant now) {
  const std::int64_t number = now.us / 1'000'000;
  Second& second = seconds_[static_cast<std::size_t>(number) % seconds_.size()];
  if (second.number != number) second = {number, {}};
  const std::size_t bucket = bucket_of(lag_ms);
  ++second.counts[bucket];
  ++total_[bucket];
}

std::int64_t LagMeter::quantile(double p, Instant now) const {
  const std::int64_t number = now.us / 1'000'000;
  Buckets recent{};
  std::uint64_t total = 0;
  for (const Second& second : seconds_) {
    if (second.number < 0 || second.number + kWindowSeconds < number) continue;
    for (std::size_t b = 0; b < kBuckets; ++b) {
      recent[b] += second.counts[b];
      total += second.counts[b];
    }
  }
  if (total == 0) return 0;
  return upper_end(rank_of(p, total, kBuckets, [&](std::size_t b) { return recent[b]; }));
}

LagCounts LagMeter::since_start() const {
  LagCounts counts;
  for (std::size_t b = 0; b < kBuckets; ++b) {
    if (total_[b] > 0) counts.emplace_back(upper_end(b), total_[b]);
  }
  return counts;
}

std::int64_t quantile_between(const LagCounts& earlier, const LagCounts& later, double p) {
  const std::map<std::int64_t, std::uint64_t> before(earlier.begin(), earlier.end());
  LagCounts came;
  std::uint64_t total = 0;
  for (const auto& [lag, count] : later) {
    const auto known = before.find(lag);
    const std::uint64_t fresh = count - std::min(count, known == before.end() ? 0 : known->second);
    if (fresh > 0) came.emplace_back(lag, fresh);
    total += fresh;
  }
  if (total == 0) return 0;
  return came[rank_of(p, total, came.size(), [&](std::size_t i) { return came[i].second; })].first;
}

}  // namespace evercert::store
