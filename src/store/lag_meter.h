// SPDX-License-Identifier: Apache-2.0
// Replication lag of one group as this replica sees it: how many entries came with which lag, since the start and in
// the last seconds. Whole milliseconds up to 255; above, a lag is counted as the upper end of a step of at most a
// sixteenth (a fourth beyond four seconds, nothing beyond a minute). Pure; constant memory and time.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/time.h"

namespace evercert::store {

using LagCounts = std::vector<std::pair<std::int64_t, std::uint64_t>>;  // lag in ms, entries; ascending, none empty

class LagMeter {
 public:
  static constexpr std::int64_t kWindowSeconds = 5;

  void sample(std::int64_t lag_ms, Instant now);
  // The p-th quantile (0..1) of the present second and the five before it, 0 when nothing came.
  std::int64_t quantile(double p, Instant now) const;
  LagCounts since_start() const;

 private:
  static constexpr std::size_t kBuckets = 256 + 240 + 56;
  using Buckets = std::array<std::uint64_t, kBuckets>;
  static std::size_t bucket_of(std::int64_t lag_ms);
  static std::int64_t upper_end(std::size_t bucket);

  struct Second {
    std::int64_t number = -1;
    std::array<std::uint32_t, kBuckets> counts{};
  };
  std::array<Second, kWindowSeconds + 1> seconds_;
  Buckets total_{};
};

// The p-th quantile of what came between two readings of since_start() of the same process; 0 when nothing did.
std::int64_t quantile_between(const LagCounts& earlier, const LagCounts& later, double p);

}  // namespace evercert::store
