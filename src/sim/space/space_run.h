// SPDX-License-Identifier: Apache-2.0
// One run of the key space in a hostile cluster: locks, counters, writers and watchers while nodes die and links break.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordination/planted.h"

namespace evercert::sim {

struct SpaceReport {
  std::optional<std::string> violation;
  std::uint64_t acquisitions = 0, successes = 0;  // of locks; of compare-and-sets
  std::int64_t revisions = 0;
  std::int64_t compacted = 0;  // up to which a policy has cut the history
  double simulated_seconds = 0;
};

SpaceReport run_space(std::uint64_t seed, coordination::Bug bug = coordination::Bug::kNone);

}  // namespace evercert::sim
