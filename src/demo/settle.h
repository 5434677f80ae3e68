// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "base/result.h"
#include "base/time.h"
#include "demo/judge.h"
#include "demo/operator_client.h"

namespace evercert::demo {

// Waits until every node holds the leases of all groups and has everything that any log held when this was called;
// then reads the stores of all. kUnavailable says which node is missing what.
Result<std::vector<StoreAtEnd>> stores_once_settled(OperatorClient& client, const config::ClusterConfig& config,
                                                    Duration patience, const std::function<bool()>& interrupted);

}  // namespace evercert::demo
