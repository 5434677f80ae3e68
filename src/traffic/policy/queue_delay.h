// SPDX-License-Identifier: Apache-2.0
// Is there a standing queue? Not how long one request waited (a burst makes some wait, and is over soon), but the least
// that any waited for a whole interval: when even the luckiest had to wait, the queue does not empty any more. Source:
// CoDel, Nichols and Jacobson 2012 (RFC 8289 section 4); its control law is not used, since requests are refused by
// class and not dropped from a queue. Pure; one thread, or a mutex of the caller; O(1).
#pragma once

#include <algorithm>

#include "base/time.h"

namespace evercert::traffic {

class QueueDelay {
 public:
  explicit QueueDelay(Duration target = 5ms, Duration interval = 100ms) : target_(target), interval_(interval) {}

  // One request waited so long from its arrival to its beginning. true: an interval ended with this.
  bool observe(Duration waited, Instant now) {
    bool ended = false;
    if (!open_ || now - began_ >= interval_) {
      // After a pause there is nothing to be said about the time between.
      if (open_) {
        standing_ = now - began_ < 2 * interval_ ? least_ : Duration{0};
        ended = true;
      }
      open_ = true;
      began_ = now;
      least_ = waited;
    } else {
      least_ = std::min(least_, waited);
    }
    return ended;
  }
  // In the last whole interval.
  Duration standing() const { return standing_; }
  bool overloaded() const { return standing_ > target_; }

 private:
  Duration target_, interval_;
  bool open_ = false;
  Instant began_;
  Duration least_{0}, standing_{0};
};

}  // namespace evercert::traffic
