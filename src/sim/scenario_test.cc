// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "sim/campaign.h"

namespace evercert::sim {
namespace {

std::string error_of(const std::string& text) {
  const auto scenario = load_scenario("s.yaml", text);
  return scenario ? "accepted" : scenario.error().message;
}

TEST(Scenario, SaysWhatItFixesAndLeavesTheRestToTheSeed) {
  const auto scenario = load_scenario("s.yaml", R"(name: whole
seconds: 7.5
quiet_seconds: 20
layout: {regions: [a, b], zones: 3}
network: {wan: false, loss: 0.25, round_trips: [{between: b, and: a, ms: 10}]}
clocks: {drift: 0.002, speeds: {b: 1.01}}
workload: {clients: 3, pause_seconds: {min: 0.001, max: 0.002}, mix: {writes: 1, abroad: 0}, recent: 9}
faults:
  - {at: 1, kill: a, for: 2}
  - {at: 2, cut: a, to: b, for: 0.5, every: 1, until: 5}
  - {at: 3, slow_disk: b/2, by_ms: 100, for: 1}
checkers: [durability]
write_gap_seconds: 2
)");
  ASSERT_TRUE(scenario.has_value()) << scenario.error().message;
  EXPECT_EQ(scenario->duration, 7500ms);
  EXPECT_FALSE(scenario->swarm) << "a file that does not ask for random faults has none";
  EXPECT_TRUE(scenario->checkers.durability);
  EXPECT_FALSE(scenario->checkers.convergence);
  EXPECT_EQ(scenario->checkers.write_gap, 2s);
  ASSERT_EQ(scenario->plan.size(), 3u);
  EXPECT_EQ(scenario->plan[1].to, RegionId{2});
  EXPECT_EQ(scenario->plan[2].zone, 2);
  const RunOptions run = draw(*scenario, 1);
  EXPECT_EQ(run.world.regions, 2);
  EXPECT_EQ(run.world.zones, 3);
  EXPECT_EQ(run.world.loss, 0.25);
  EXPECT_EQ(run.world.round_trips.at({RegionId{1}, RegionId{2}}), 10ms);
  EXPECT_EQ(run.world.clock_speeds.at(RegionId{2}), 1.01);
  EXPECT_EQ(run.workload.clients, 3u);
  EXPECT_EQ(run.workload.recent, 9u);
  EXPECT_NE(draw(*scenario, 2).world.jitter, run.world.jitter);
}

TEST(Scenario, AMistakeIsNamedWithItsPlaceAndWhatWouldBeRight) {
  EXPECT_EQ(error_of("name: x\nlayuot: {}\n"),
            "s.yaml:2:1: unknown key 'layuot' in 'scenario': did you mean 'layout'?");
  EXPECT_EQ(error_of("name: x\nworkload: {rush_hour: 1}\n"),
            "s.yaml:2:12: unknown key 'rush_hour' in 'workload': known are clients, pause_seconds, mix, recent");
  EXPECT_EQ(error_of("name: x\nseconds: -1\n"), "s.yaml:2:10: 'seconds' must lie between 0 and 600");
  EXPECT_EQ(error_of("seconds: 1\n"), "s.yaml:1:1: 'scenario' lacks 'name': add it");
  EXPECT_EQ(error_of("name: x\nfaults:\n  - {at: 1, kill: mars}\n"),
            "s.yaml:3:19: there is no region 'mars': there are us-east-1, us-west-2, eu-central-1");
  EXPECT_EQ(error_of("name: x\nfaults:\n  - {at: 1, kill: us-east-1/2}\n"),
            "s.yaml:3:19: 'us-east-1/2' names no node: region/zone, with a zone of 'layout'");
  EXPECT_EQ(
      error_of("name: x\nfaults:\n  - {at: 1}\n"),
      "s.yaml:3:5: a fault is one of kill, stop, wipe, tear, slow_disk, full_disk, fail_sync, lose_write, rot_log, "
      "rot_state, err, isolate, cut, bridge, heal, fence, drain, members, add_region, remove_region");
  EXPECT_EQ(error_of("name: x\nfaults:\n  - {at: 1, wipe: us-east-1}\n"),
            "s.yaml:3:19: one node loses its disk: name its zone, as in 'us-east-1/1'");
  EXPECT_EQ(error_of("name: x\nlayout: {zones: 2}\n"),
            "s.yaml:2:17: 'zones' must be 1 or 3: two have no majority without both");
  EXPECT_EQ(error_of("name: x\ncheckers: [all]\n"),
            "s.yaml:2:12: unknown checker: known are leaders, logs, freshness, durability, convergence, "
            "linearizability, membership, across_regions");
  EXPECT_EQ(error_of("name: x\nswarm: {bit_rot: 1}\n").substr(0, 48),
            "s.yaml:2:9: unknown key 'bit_rot' in 'swarm': kn");
  EXPECT_EQ(error_of("name: [\n").substr(0, 7), "s.yaml:");
  EXPECT_EQ(error_of("[]").substr(0, 12), "s.yaml:1:1: ");
}

TEST(Scenario, PlannedFaultsHappenAsOftenAsPlanned) {
  set_log_level(LogLevel::kOff);
  const auto scenario = load_scenario("s.yaml", R"(name: plan
seconds: 8
network: {wan: false, loss: 0, late: 0}
faults:
  - {at: 1, kill: us-east-1, for: 0.5}
  - {at: 2, cut: us-east-1, to: us-west-2, for: 0.1, every: 1, until: 5}
  - {at: 6, wipe: us-west-2/1, for: 0.5}
layout: {zones: 1}
)");
  ASSERT_TRUE(scenario.has_value()) << scenario.error().message;
  const RunReport run = run_seed(1, *scenario);
  EXPECT_EQ(run.violation, std::nullopt);
  EXPECT_EQ(run.faults,
            (std::map<std::string, std::uint64_t>{{"region killed", 1}, {"link cut one way", 4}, {"disk lost", 1}}));
}

TEST(Scenario, WritesThatStopForLongerThanAllowedAreAViolation) {
  set_log_level(LogLevel::kOff);
  const std::string text = R"(name: gap
seconds: 12
network: {wan: false, loss: 0, late: 0}
layout: {zones: 1}
faults:
  - {at: 4, kill: us-east-1, for: 4}
  - {at: 4, kill: us-west-2, for: 4}
)";
  const auto without = load_scenario("s.yaml", text);
  const auto within = load_scenario("s.yaml", text + "write_gap_seconds: 2\n");
  ASSERT_TRUE(without && within);
  EXPECT_EQ(run_seed(1, *without).violation, std::nullopt);
  const auto violation = run_seed(1, *within).violation;
  ASSERT_TRUE(violation.has_value());
  EXPECT_NE(violation->find("acknowledged no write for"), std::string::npos) << *violation;
}

}  // namespace
}  // namespace evercert::sim
