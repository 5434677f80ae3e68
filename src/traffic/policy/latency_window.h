// SPDX-License-Identifier: Apache-2.0
// Quantiles of answer times over the last moments, in bounded memory (15 KiB): log-linear buckets (as in HdrHistogram),
// six slices of time. A quantile is exact to 1/16. Recording is O(1) and allocates nothing; what a slice held is taken
// out when its time is over. Pure; one thread, or a mutex of the caller.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace evercert::traffic {

class LatencyWindow {
 public:
  // A figure counts for `span` at most and for five sixths of it at least. From 1 us to 2^36 us (19 h), what is longer
  // counts as that.
  explicit LatencyWindow(Duration span = 30s);

  void record(Duration took, Instant now);
  std::uint64_t count(Instant now);
  // The time within which a share `q` of the answers came, the upper edge of its bucket: never less than the truth.
  // Nothing: fewer than `least` answers.
  std::optional<Duration> quantile(double q, Instant now, std::uint64_t least = 1);

 private:
  static constexpr int kSubBits = 4;
  static constexpr std::uint64_t kSub = 1 << kSubBits;  // buckets for each doubling
  static constexpr int kTopBit = 36;
  static constexpr std::size_t kBuckets = (kTopBit - kSubBits + 1) * kSub;
  static constexpr std::size_t kSlices = 6;
  static std::size_t bucket_of(std::uint64_t us);
  static std::uint64_t upper_edge(std::size_t bucket);
  void advance(Instant now);

  Duration slice_;
  std::int64_t at_ = 0;  // the number of the newest slice
  std::uint64_t count_ = 0;
  std::array<std::uint64_t, kSlices> counts_{};
  std::array<std::uint32_t, kBuckets> all_{};
  std::array<std::array<std::uint32_t, kBuckets>, kSlices> slices_{};
};

// A quantile that is looked up again only every `refresh`: for decisions that are made with each request.
class CachedQuantile {
 public:
  CachedQuantile(double q, std::uint64_t least, Duration refresh = 500ms) : q_(q), least_(least), refresh_(refresh) {}
  std::optional<Duration> get(LatencyWindow& window, Instant now) {
    if (!looked_ || now - at_ >= refresh_) {
      value_ = window.quantile(q_, now, least_);
      at_ = now;
      looked_ = true;
    }
    return value_;
  }

 private:
  double q_;
  std::uint64_t least_;
  Duration refresh_;
  bool looked_ = false;
  Instant at_;
  std::optional<Duration> value_;
};

}  // namespace evercert::traffic
