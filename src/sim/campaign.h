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
  std::uint64_t events = 0, issued = 0, revoked = 0, fresh_reads = 0, stale_reads = 0, other_writes = 0;
  std::uint64_t operations = 0;  // in the histories that were judged
  std::uint64_t undecided = 0;   // histories too long to be judged
  std::map<std::string, std::uint64_t> faults;
  Duration longest_silence{};  // of a region's home group
};
// What happened, for a reader: `record` is empty but for what clients did.
struct TimelineEntry {
  Instant at;
  std::string record;
  std::string text;
};
RunReport run(const RunOptions& options, std::vector<TimelineEntry>* timeline = nullptr);
RunReport run_seed(std::uint64_t seed, const Scenario& scenario);
// All that happened to nodes and links, and what clients did with the records that the violation names.
std::string to_text(const std::vector<TimelineEntry>& timeline, const std::optional<std::string>& violation);

struct CampaignReport {
  std::uint64_t seeds = 0;
  std::vector<RunReport> violations;
  double simulated_seconds = 0;
  std::uint64_t issued = 0, revoked = 0, fresh_reads = 0, stale_reads = 0, other_writes = 0, operations = 0,
                undecided = 0;
  std::map<std::string, std::uint64_t> faults;
  std::vector<Duration> silences;                 // the longest of each run, ascending
  std::map<std::string, std::uint64_t> branches;  // how often each rare branch (base/probe.h) was taken, 0 included
};
// `progress` after every seed; false ends the campaign.
CampaignReport run_campaign(std::uint64_t first_seed, std::uint64_t seeds, const Scenario& scenario,
                            const std::function<bool(const RunReport&)>& progress);

}  // namespace evercert::sim
