// SPDX-License-Identifier: Apache-2.0
// Runs of the simulator: one seed, one run, always the same.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/scenario.h"

namespace evercert::sim {

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
  std::map<std::string, std::uint64_t> branches;  // how often each rare branch (base/probe.h) was taken, 0 included
};
// `progress` after every seed; false ends the campaign.
CampaignReport run_campaign(std::uint64_t first_seed, std::uint64_t seeds, const Scenario& scenario,
                            const std::function<bool(const RunReport&)>& progress);

}  // namespace evercert::sim
