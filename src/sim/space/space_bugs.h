// SPDX-License-Identifier: Apache-2.0
// How well the checkers of the key space find the bugs that are planted in it.
#pragma once

#include <functional>

#include "coordination/planted.h"
#include "sim/bugs.h"

namespace evercert::sim {

// `progress` after every seed; false ends it.
BugFindings measure(const coordination::PlantedBug& bug, std::uint64_t seeds,
                    const std::function<bool(const BugFindings&)>& progress);

}  // namespace evercert::sim
