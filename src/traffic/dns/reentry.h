// SPDX-License-Identifier: Apache-2.0
// When what went out may come back: when it has been well for a while without a break. A break begins the while anew,
// and the while doubles each time it was not enough, as routes are damped that flap (RFC 2439): going out is never
// delayed, coming back is. Pure; one thread.
#pragma once

#include <algorithm>
#include <optional>

#include "base/time.h"

namespace evercert::traffic::dns {

class Reentry {
 public:
  Reentry(Duration shortest, Duration longest) : shortest_(shortest), longest_(std::max(shortest, longest)) {}

  void went_out(Instant now) {
    // What comes back and does not last has come back too soon.
    const bool again = returned_ && now - *returned_ < 4 * hold_;
    hold_ = again ? std::min(2 * hold_, longest_) : shortest_;
    well_since_.reset();
  }
  void broke() { well_since_.reset(); }
  bool waits() const { return well_since_.has_value(); }
  // It is out, and well. How long it must go on to be: 0, it may come back.
  Duration left(Instant now) {
    if (!well_since_) well_since_ = now;
    return std::max(Duration{0}, hold_ - (now - *well_since_));
  }
  void came_back(Instant now) { returned_ = now; }

 private:
  Duration shortest_, longest_, hold_{0};
  std::optional<Instant> well_since_, returned_;
};

}  // namespace evercert::traffic::dns
