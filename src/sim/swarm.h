// SPDX-License-Identifier: Apache-2.0
// Faults at random: which kinds, how often, when, where and for how long is drawn from the seed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/plan.h"
#include "sim/world.h"

namespace evercert::sim {

struct SwarmOptions {
  Duration pause_min = 300ms, pause_max = 5s;  // between two faults
  Duration down_min = 100ms, down_max = 4s;    // of a node
  // Weights.
  double region_alone = 0.15, one_way = 0.15, bridge = 0.1, flapping = 0.05, heal = 0.3, region_dies = 0.1,
         node_dies = 0.15, process_ends = 0.1, torn_write = 0.1, disk_lost = 0.05, disk_slow = 0.05, disk_full = 0.05,
         sync_fails = 0.05, write_lost = 0.05, log_rots = 0.05, state_rots = 0.05, operator_fences = 0.05,
         operator_drains = 0.03, members_change = 0.1;

  static SwarmOptions draw(SeededRandom& random);
};
// The weights by the names that a scenario file gives them.
const std::map<std::string, double SwarmOptions::*>& swarm_names();

// PlannedFault::where, for kinds that need one.
std::uint64_t draw_where(PlannedFault::Kind kind, SeededRandom& random);
// All faults of a run that lasts so long, in order of time.
std::vector<PlannedFault> draw_faults(const SwarmOptions& options, const WorldOptions& world, Duration duration,
                                      SeededRandom& random);

}  // namespace evercert::sim
