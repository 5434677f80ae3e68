// SPDX-License-Identifier: Apache-2.0
// GET /v1/capacity, for readers: what the cluster carries, and how many regions may fail.
#pragma once

#include <functional>

#include "api/rest/rest.h"
#include "recovery/capacity/planner.h"
#include "recovery/failover/model.h"

namespace evercert::api {

// Everything given outlives the router.
void mount_capacity(Router& router, const Rest& rest, recovery::Cluster cluster,
                    std::function<recovery::CapacityReport()> report);

}  // namespace evercert::api
