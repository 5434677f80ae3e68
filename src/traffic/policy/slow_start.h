// SPDX-License-Identifier: Apache-2.0
// An endpoint that returns is given its share little by little: its caches, connections and pages are cold, and what
// had made it go may not be over. Source: Envoy's slow start, HAProxy's slowstart. Pure; one thread, or a mutex of the
// caller.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace evercert::traffic {

class SlowStart {
 public:
  explicit SlowStart(Duration over = 10s, double least = 0.1) : over_(over), least_(least) {}

  void returned(Instant now) {
    since_ = now;
    rising_ = true;
  }
  // Of its full share: from `least` to 1. Who never left has 1.
  double weight(Instant now) const {
    if (!rising_ || over_ <= Duration{0}) return 1;
    const double part =
        static_cast<double>(std::max<Duration>(now - since_, 0us).count()) / static_cast<double>(over_.count());
    return std::clamp(part, least_, 1.0);
  }

 private:
  Duration over_;
  double least_;
  Instant since_;
  bool rising_ = false;
};

}  // namespace evercert::traffic
