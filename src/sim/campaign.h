// SPDX-License-Identifier: Apache-2.0
// Runs of the simulator: one seed, one run, always the same.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/faults.h"
#include "sim/workload.h"
#include "sim/world.h"

namespace evercert::sim {

// What a scenario file fixes; the rest is drawn from the seed.
struct Scenario {
  std::string name = "swarm";
  Duration duration = 20s;  // with faults
  Duration quiet = 25s;     // after healing, until everything must have come together
  std::optional<std::uint8_t> zones;
  std::optional<bool> wan;
  std::optional<double> loss, late, drift;
  bool faults = true;
  std::map<std::string, double> fault_weights;  // by the names of FaultOptions
  store::Bug bug = store::Bug::kNone;
};

// YAML, see tests/scenarios/. kInvalid with file, line and fix.
Result<Scenario> load_scenario(const std::string& path, const std::string& text);

struct RunReport {
  std::uint64_t seed = 0;
  std::optional<std::string> violation;
  double simulated_seconds = 0;
  std::uint64_t events = 0, issued = 0, revoked = 0, fresh_reads = 0, stale_reads = 0;
  std::map<std::string, std::uint64_t> faults;
};
RunReport run_seed(std::uint64_t seed, const Scenario& scenario);

struct CampaignReport {
  std::uint64_t seeds = 0;
  std::vector<RunReport> violations;
  double simulated_seconds = 0;
  std::uint64_t issued = 0, revoked = 0, fresh_reads = 0, stale_reads = 0;
  std::map<std::string, std::uint64_t> faults;
};
// `progress` after every seed; false ends the campaign.
CampaignReport run_campaign(std::uint64_t first_seed, std::uint64_t seeds, const Scenario& scenario,
                            const std::function<bool(const RunReport&)>& progress);

}  // namespace evercert::sim
