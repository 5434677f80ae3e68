// SPDX-License-Identifier: Apache-2.0
// From a run that fails, a smaller one that fails in the same way: fewer faults, a shorter time, fewer clients, a
// better network. By leaving out and running again.
#pragma once

#include <functional>

#include "sim/campaign.h"

namespace evercert::sim {

struct Shrunk {
  RunOptions run;
  RunReport report;
  std::uint64_t runs = 0;  // how many it took
};
// `failing` must fail. At most so many runs. `progress` after each that still fails.
Shrunk shrink(const RunOptions& failing, std::uint64_t most_runs,
              const std::function<void(const Shrunk&)>& progress = {});

// What kind of violation it is, without time and place: "two leaders".
std::string kind_of_violation(const std::string& violation);

}  // namespace evercert::sim
