// SPDX-License-Identifier: Apache-2.0
// How well the checkers find the bugs that are planted.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sim/campaign.h"

namespace evercert::sim {

// The scenario in which the bug is looked for: the swarm, or the file in `scenarios` that makes what it breaks happen
// often enough.
Result<Scenario> scenario_for(store::Bug bug, const std::string& scenarios);

struct BugFindings {
  store::PlantedBug bug;
  std::string scenario;
  std::uint64_t seeds = 0, found = 0, first_seed = 0;
  std::map<std::string, std::uint64_t> violations;  // by kind
};
// `progress` after every seed; false ends it.
Result<BugFindings> measure(const store::PlantedBug& bug, std::uint64_t seeds, const std::string& scenarios,
                            const std::function<bool(const BugFindings&)>& progress);
// A table in Markdown.
std::string to_table(const std::vector<BugFindings>& all);

}  // namespace evercert::sim
