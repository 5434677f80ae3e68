// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/latency_window.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace evercert::traffic {

LatencyWindow::LatencyWindow(Duration span)
    : slice_(std::max<Duration>(span / static_cast<std::int64_t>(kSlices), 1us)) {}

std::size_t LatencyWindow::bucket_of(std::uint64_t us) {
  us = std::min(us, (std::uint64_t{1} << kTopBit) - 1);
  if (us < kSub) return us;
  const int top = std::bit_width(us) - 1;
  return static_cast<std::size_t>(top - kSubBits + 1) * kSub + ((us >> (top - kSubBits)) & (kSub - 1));
}

std::uint64_t LatencyWindow::upper_edge(std::size_t bucket) {
  if (bucket < kSub) return bucket;
  const int shift = static_cast<int>(bucket / kSub) - 1;
  return ((kSub + bucket % kSub + 1) << shift) - 1;
}

void LatencyWindow::advance(Instant now) {
  const std::int64_t current = now.us / slice_.count();
  // A reading that is late by a slice or more (another thread took it earlier) counts as of the newest.
  if (current <= at_) return;
  if (current - at_ >= static_cast<std::int64_t>(kSlices)) {
    if (count_ != 0) {
      all_.fill(0);
      for (auto& slice : slices_) slice.fill(0);
      counts_.fill(0);
      count_ = 0;
    }
    at_ = current;
    return;
  }
  while (at_ < current) {
    ++at_;
    const std::size_t place = static_cast<std::size_t>(at_) % kSlices;
    if (counts_[place] == 0) continue;
    for (std::size_t i = 0; i < kBuckets; ++i) all_[i] -= slices_[place][i];
    slices_[place].fill(0);
    count_ -= counts_[place];
    counts_[place] = 0;
  }
}

void LatencyWindow::record(Duration took, Instant now) {
  advance(now);
  const std::size_t place = static_cast<std::size_t>(at_) % kSlices;
  const std::size_t bucket = bucket_of(static_cast<std::uint64_t>(std::max<Duration>(took, 0us).count()));
  ++slices_[place][bucket];
  ++all_[bucket];
  ++counts_[place];
  ++count_;
}

std::uint64_t LatencyWindow::count(Instant now) {
  advance(now);
  return count_;
}

std::optional<Duration> LatencyWindow::quantile(double q, Instant now, std::uint64_t least) {
  advance(now);
  if (count_ == 0 || count_ < least) return std::nullopt;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_)));
  const std::uint64_t rank = std::clamp<std::uint64_t>(wanted, 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += all_[i];
    if (seen >= rank) return Duration{static_cast<std::int64_t>(upper_edge(i))};
  }
  return std::nullopt;
}

}  // namespace evercert::traffic
