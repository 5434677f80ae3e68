// SPDX-License-Identifier: Apache-2.0
// The policy as a document: what may be done without a person, and the times. Kept in the key space under kPolicyKey.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "recovery/failover/model.h"

namespace evercert::recovery {

inline constexpr std::string_view kPolicyKey = "failover/policy";

std::string to_json(const Policy& policy);
// What is left out is as in Policy{}. kInvalid: an unknown member, a value that is out of bounds, stages that do not
// rise to 100.
Result<Policy> parse_policy(std::string_view text);

}  // namespace evercert::recovery
