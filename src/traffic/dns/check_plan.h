// SPDX-License-Identifier: Apache-2.0
// When health checks begin, so that an outage is known within the detection time that the specification's document
// asks for. Pure.
#pragma once

#include "base/time.h"

namespace evercert::traffic::dns {

struct CheckSettings {
  Duration interval = 5s, timeout = 2s;
  int unhealthy_threshold = 2;
  Duration detection_time = 10s;
};

// Checks of an endpoint that is well, and whose region is in, begin every `interval`. One that fails is followed by the
// next `recheck` after its end. An endpoint that dies just after a good check is thus known to be out after
//   interval + thresholds * timeout + (thresholds - 1) * recheck,
// which is at most 95 % of the detection time; the rest is for the answers to change.
struct CheckPlan {
  Duration interval, timeout, recheck;
  bool shortened = false;  // interval or time-out had to be made shorter than the document's
};

CheckPlan plan_checks(const CheckSettings& settings);

// When the check after this one begins. `closely`: it has failed, or a break must not go unseen (Brain).
Instant next_check(const CheckPlan& plan, Instant begun, Instant ended, bool closely);

}  // namespace evercert::traffic::dns
