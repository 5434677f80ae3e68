// SPDX-License-Identifier: Apache-2.0
// What a run is made of: the cluster, what clients do, what goes wrong, what is checked. A scenario file (YAML, see
// tests/scenarios/) fixes some of it; everything that it leaves open is drawn from the seed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/checkers.h"
#include "sim/plan.h"
#include "sim/swarm.h"
#include "sim/workload.h"
#include "sim/world.h"

namespace evercert::sim {

struct Scenario {
  std::string name = "swarm";
  Duration duration = 20s;  // with faults
  Duration quiet = 25s;     // after healing, until everything must have come together
  std::vector<std::string> regions{"us-east-1", "us-west-2", "eu-central-1"};
  std::vector<std::string> added;      // regions that may be added, after those
  std::vector<std::string> witnesses;  // of both: these vote and keep no records
  bool may_add = true;  // in some runs the swarm adds one of its own, removes one, or makes one a witness

  std::optional<std::uint8_t> zones, spares;
  std::optional<bool> wan;
  std::optional<double> loss, late, split, jitter, drift;
  std::optional<Duration> late_by;
  std::map<std::pair<RegionId, RegionId>, Duration> round_trips;  // lower region first
  std::map<RegionId, double> clock_speeds;                        // 1.01: one percent fast

  std::optional<std::uint32_t> clients;
  std::optional<Duration> pause_min, pause_max;
  std::optional<double> writes, revocations, abroad, others;
  std::optional<std::uint32_t> recent;

  std::vector<PlannedFault> plan;
  bool swarm = true;                            // faults drawn from the seed
  std::map<std::string, double> swarm_weights;  // by swarm_names()
  CheckerOptions checkers;
  store::Bug bug = store::Bug::kNone;
};

// kInvalid with file, line, column and what would be right.
Result<Scenario> load_scenario(const std::string& path, const std::string& text);

// Everything about one run. Chance of the world and of the workload comes from `seed` too, from streams of their own: a
// fault that is left out, or a client, leaves the others' draws alone.
struct RunOptions {
  std::uint64_t seed = 0;
  WorldOptions world;
  WorkloadOptions workload;
  SwarmOptions swarm;
  std::vector<PlannedFault> faults;  // those of the scenario and those of the swarm
  Duration duration{}, quiet{};
  CheckerOptions checkers;
};
// What a scenario file calls it.
std::string region_name(const Scenario& scenario, RegionId region);
RunOptions draw(const Scenario& scenario, std::uint64_t seed);

// A scenario file of exactly this run, to be run with the same seed.
std::string to_yaml(const Scenario& scenario, const RunOptions& run);

}  // namespace evercert::sim
