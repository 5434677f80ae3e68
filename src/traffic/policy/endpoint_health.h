// SPDX-License-Identifier: Apache-2.0
// Whether an endpoint gets traffic: active checks with thresholds, and passive detection that acts at once. Pure.
#pragma once

#include "base/time.h"

namespace evercert::traffic {

struct HealthThresholds {
  int unhealthy = 2;  // failed checks in a row until it is out
  int healthy = 3;    // good ones in a row until it is back
};

class EndpointHealth {
 public:
  explicit EndpointHealth(HealthThresholds thresholds) : thresholds_(thresholds) {}

  void check_passed();
  void check_failed();
  // A request could not reach it: out until a check passes. (It refused, or its process died: a single good check is
  // enough to come back, since checks had no complaint before.)
  void request_failed();
  bool healthy() const { return healthy_; }

 private:
  HealthThresholds thresholds_;
  bool healthy_ = true;  // until proven otherwise: at the start nobody has checked yet
  bool passive_ = false;
  int good_ = 0, bad_ = 0;
};

}  // namespace evercert::traffic
