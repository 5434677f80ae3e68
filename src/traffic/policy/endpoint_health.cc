// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/endpoint_health.h"

namespace evercert::traffic {

void EndpointHealth::check_passed() {
  bad_ = 0;
  ++good_;
  if (!healthy_ && (passive_ || good_ >= thresholds_.healthy)) {
    healthy_ = true;
    passive_ = false;
  }
}

void EndpointHealth::check_failed() {
  good_ = 0;
  passive_ = false;
  if (++bad_ >= thresholds_.unhealthy) healthy_ = false;
}

void EndpointHealth::request_failed() {
  good_ = 0;
  if (healthy_) passive_ = true;
  healthy_ = false;
}

}  // namespace evercert::traffic
