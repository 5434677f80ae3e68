// SPDX-License-Identifier: Apache-2.0
// How costly an endpoint is: a moving average of its answer times that jumps to a peak at once and comes down slowly,
// times what is in flight there. Source: Finagle's PeakEwma. Pure; one thread, or a mutex of the caller.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/time.h"

namespace evercert::traffic {

class PeakEwma {
 public:
  explicit PeakEwma(Duration decay = 10s) : decay_us_(static_cast<double>(std::max<Duration>(decay, 1us).count())) {}

  // An answer that took so long.
  void record(Duration took, Instant now) {
    const double sample = static_cast<double>(std::max<Duration>(took, 0us).count());
    if (!known_ || sample > cost_) {
      cost_ = sample;
    } else {
      const double keep = std::exp(-elapsed_us(now) / decay_us_);
      cost_ = cost_ * keep + sample * (1 - keep);
    }
    known_ = true;
    last_ = std::max(last_, now);
  }
  // No answer yet, and it has taken so long already: counts when it is worse than what is known.
  void record_at_least(Duration took, Instant now) {
    if (!known_ || static_cast<double>(took.count()) > cost_) record(took, now);
  }

  // Microseconds. Falls while nobody asks, so that one that was slow is tried again now and then.
  double cost(Instant now) const { return cost_ * std::exp(-elapsed_us(now) / decay_us_); }

  // What one more request there would cost. An endpoint that nobody knows gets one request, and no second before it has
  // answered the first while a known one is at hand.
  double load(int in_flight, Instant now) const {
    if (!known_) return in_flight == 0 ? 0 : kUnknown + in_flight;
    return (cost(now) + 1) * (in_flight + 1);
  }

 private:
  static constexpr double kUnknown = 1e15;  // beyond any cost
  double elapsed_us(Instant now) const { return static_cast<double>(std::max<Duration>(now - last_, 0us).count()); }

  double decay_us_;
  double cost_ = 0;
  bool known_ = false;
  Instant last_;
};

}  // namespace evercert::traffic
