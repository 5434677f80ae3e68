// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/check_plan.h"

#include <algorithm>

namespace evercert::traffic::dns {

CheckPlan plan_checks(const CheckSettings& settings) {
  const Duration budget = settings.detection_time * 95 / 100;
  const int checks = std::max(1, settings.unhealthy_threshold);
  CheckPlan plan{settings.interval, settings.timeout, settings.interval};
  if (plan.interval + checks * plan.timeout > budget) {
    // Each check, and the wait before the first of them, gets an equal part at least.
    plan.timeout = std::min(plan.timeout, budget / (checks + 1));
    plan.interval = std::min(plan.interval, budget - checks * plan.timeout);
    plan.shortened = true;
  }
  if (checks > 1)
    plan.recheck = std::min(plan.interval, (budget - plan.interval - checks * plan.timeout) / (checks - 1));
  return plan;
}

Instant next_check(const CheckPlan& plan, Instant begun, Instant ended, bool closely) {
  return std::max(closely ? ended + plan.recheck : begun + plan.interval, ended + 1ms);
}

}  // namespace evercert::traffic::dns
