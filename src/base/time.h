// SPDX-License-Identifier: Apache-2.0
// Two kinds of time that do not mix: monotonic instants for leases and deadlines, wall time for what certificates say.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace evercert {

using Duration = std::chrono::microseconds;
using namespace std::chrono_literals;

// A reading of one process's monotonic clock. Means nothing in another process or after a restart.
struct Instant {
  std::int64_t us = 0;
  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  friend constexpr Instant operator+(Instant at, Duration d) { return {at.us + d.count()}; }
  friend constexpr Instant operator-(Instant at, Duration d) { return {at.us - d.count()}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return Duration{a.us - b.us}; }
};

// Milliseconds since 1970-01-01 UTC.
struct WallTime {
  std::int64_t ms = 0;
  friend constexpr auto operator<=>(const WallTime&, const WallTime&) = default;
  constexpr std::int64_t seconds() const { return ms / 1000; }
};

}  // namespace evercert
