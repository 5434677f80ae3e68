// SPDX-License-Identifier: Apache-2.0
// What one node tells the controller, as JSON. How old it is says whoever received it: clocks are not compared.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "recovery/failover/model.h"

namespace evercert::recovery {

inline constexpr std::size_t kLargestObservation = 256 << 10;

std::string to_json(const Observation& observation);
// kInvalid: no observation, or one larger or stranger than it may be.
Result<Observation> parse_observation(std::string_view text);

}  // namespace evercert::recovery
