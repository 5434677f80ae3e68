// SPDX-License-Identifier: Apache-2.0
#include "sim/bugs.h"

#include <algorithm>
#include <fstream>

#include "sim/shrink.h"

namespace evercert::sim {
namespace {

using store::Bug;

struct Place {
  Bug bug;
  const char* file;
};
// Where the swarm brings about what a bug breaks too rarely.
constexpr Place kPlaces[] = {
    {Bug::kForgetVote, "contested_elections.yaml"},
    {Bug::kForgetFloor, "forgotten_floor.yaml"},
    {Bug::kRetrySync, "failing_disks.yaml"},
    {Bug::kCutDamage, "damaged_log.yaml"},
    {Bug::kIgnoreDamage, "damaged_state.yaml"},
    {Bug::kForgetPromises, "restart_within_lease.yaml"},
    {Bug::kCompareIndexes, "stale_positions.yaml"},
    {Bug::kSnapshotNotSynced, "snapshots.yaml"},
    {Bug::kSnapshotGap, "snapshots.yaml"},
    {Bug::kKeepCaches, "snapshots.yaml"},
    {Bug::kStateBehindLog, "snapshots.yaml"},
    {Bug::kReadOwnLogOnly, "three_zones.yaml"},
    {Bug::kReadToldBehindGate, "lost_disk_zones.yaml"},
    {Bug::kStandInGoesOn, "standby.yaml"},
    {Bug::kStandInStays, "standby.yaml"},
    {Bug::kNumberForAnybody, "standby.yaml"},
    {Bug::kNoFloorAtReadmission, "standby.yaml"},
    {Bug::kAnswerByNewVoters, "changing_members.yaml"},
    {Bug::kLearnersCount, "changing_members.yaml"},
    {Bug::kFoundersForEver, "changing_members.yaml"},
    {Bug::kNewcomerAtOnce, "newcomers.yaml"},
    {Bug::kBegunByFile, "adding_region.yaml"},
    {Bug::kBegunAnew, "adding_region.yaml"},
    {Bug::kIgnoreMinority, "diverging_state.yaml"},
    {Bug::kCountCopies, "copied_state.yaml"},
    {Bug::kForgettersFound, "forgetful_founders.yaml"},
    {Bug::kRemovedComesBack, "removing_region.yaml"},
    {Bug::kRemovedKeepsVoting, "removing_region.yaml"},
    {Bug::kWitnessSnapshot, "witness.yaml"},
    {Bug::kWitnessCutsLog, "witness.yaml"},
};

}  // namespace

Result<Scenario> scenario_for(Bug bug, const std::string& scenarios) {
  Scenario scenario;
  for (const Place& place : kPlaces) {
    if (place.bug != bug) continue;
    const std::string path = scenarios + "/" + place.file;
    std::ifstream in(path);
    if (!in) return fail(Code::kNotFound, path + ": cannot be read");
    EC_ASSIGN(scenario, load_scenario(path, {std::istreambuf_iterator<char>(in), {}}));
  }
  scenario.bug = bug;
  return scenario;
}

Result<BugFindings> measure(const store::PlantedBug& bug, std::uint64_t seeds, const std::string& scenarios,
                            const std::function<bool(const BugFindings&)>& progress) {
  EC_ASSIGN(const Scenario scenario, scenario_for(bug.bug, scenarios));
  BugFindings findings;
  findings.bug = bug;
  findings.scenario = scenario.name;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const RunReport run = run_seed(seed, scenario);
    ++findings.seeds;
    if (run.violation) {
      if (findings.found++ == 0) findings.first_seed = seed;
      std::string kind = kind_of_violation(*run.violation);
      if (kind.starts_with("node ")) kind = "a node stops by itself";
      ++findings.violations[kind];
    }
    if (!progress(findings)) break;
  }
  return findings;
}

std::string to_table(const std::vector<BugFindings>& all) {
  std::string table =
      "| planted bug | what it does | scenario | found in | first seed | as |\n|---|---|---|---|---|---|\n";
  for (const BugFindings& one : all) {
    std::string kinds;
    for (const auto& [kind, count] : one.violations) {
      kinds += (kinds.empty() ? "" : ", ") + kind + " " + std::to_string(count);
    }
    table += "| `" + std::string(one.bug.name) + "` | " + std::string(one.bug.what) + " | " + one.scenario + " | " +
             std::to_string(one.found) + " of " + std::to_string(one.seeds) + " seeds | " +
             (one.found == 0 ? "none" : std::to_string(one.first_seed)) + " | " + kinds + " |\n";
  }
  return table;
}

}  // namespace evercert::sim
