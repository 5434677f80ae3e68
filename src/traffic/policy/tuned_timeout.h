// SPDX-License-Identifier: Apache-2.0
// How long to wait for one endpoint before another is asked, from how long answers do take: a fixed figure is either so
// long that a hung node eats the whole deadline, or so short that a slow day becomes an outage. Source: the timeouts
// from a high percentile of "Timeouts, retries and backoff with jitter" (Amazon Builders' Library). Pure; one thread,
// or a mutex of the caller.
#pragma once

#include <algorithm>

#include "traffic/policy/latency_window.h"

namespace evercert::traffic {

struct TimeoutOptions {
  double quantile = 0.99;
  double factor = 3;  // one answer in many thousands is that late without being lost
  Duration least = 100ms, most = 10s;
  std::uint64_t least_calls = 100;  // in the window; with fewer `unknown` is waited
  Duration unknown = 3s;            // leaves time for another one within a deadline of 10 s
};

class TunedTimeout {
 public:
  explicit TunedTimeout(TimeoutOptions options = {})
      : options_(options), quantile_(options.quantile, options.least_calls) {}

  // Calls that ran out of time must be recorded in the window too, as having taken that long: so the figure rises when
  // it is too low, and doubles and trebles until most calls fit.
  Duration get(LatencyWindow& window, Instant now) {
    const auto seen = quantile_.get(window, now);
    if (!seen) return options_.unknown;
    const double us = static_cast<double>(seen->count()) * options_.factor;
    if (us >= static_cast<double>(options_.most.count())) return options_.most;
    return std::max<Duration>(Duration{static_cast<std::int64_t>(us)}, options_.least);
  }

 private:
  TimeoutOptions options_;
  CachedQuantile quantile_;
};

}  // namespace evercert::traffic
