// SPDX-License-Identifier: Apache-2.0
// Where a host that is to prove something is asked.
#pragma once

#include <string>
#include <vector>

#include "base/task_scope.h"
#include "net/dns.h"

namespace evercert::api {

// In the order in which they are tried: one of IPv6, one of IPv4. A family whose look-up fails is done without.
// `scope`: of the caller, which outlives the task.
Task<Result<std::vector<std::string>>> host_addresses(Executor& on, net::DnsResolver& dns, TaskScope& scope,
                                                      std::string host);

}  // namespace evercert::api
