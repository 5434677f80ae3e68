// SPDX-License-Identifier: Apache-2.0
#include "sim/campaign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "sim/bugs.h"

namespace evercert::sim {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class CampaignTest : public testing::Test {
 protected:
  void SetUp() override { set_log_level(LogLevel::kOff); }
};

TEST_F(CampaignTest, NothingAcknowledgedIsLostAndNoFreshReadIsOldInAnySeed) {
  const std::uint64_t seeds = from_environment("EVERCERT_SIM_SEEDS", 300);
  const auto report = run_campaign(1, seeds, {}, [](const RunReport& run) {
    if (run.violation) ADD_FAILURE() << "seed " << run.seed << ": " << *run.violation;
    return true;
  });
  // A campaign in which nothing happens proves nothing.
  EXPECT_GT(report.issued, seeds * 10);
  EXPECT_GT(report.revoked, seeds * 5);
  EXPECT_GT(report.fresh_reads, seeds * 20);
  for (const char* fault : {"region cut off", "link cut one way", "two regions parted", "node killed", "process ended",
                            "power lost in a write", "disk lost", "disk slow", "disk full", "fsync failed",
                            "write lost", "bit rot in the log", "bit rot in the state", "damaged disk replaced",
                            "region fenced by an operator", "region drained"}) {
    EXPECT_GT(report.faults.count(fault) ? report.faults.at(fault) : 0, 0u) << fault;
  }
  if (seeds < 100) return;
  // Some branches want a scenario of their own (states that differ, a recovery by hand), the clients of the key space
  // (sim/space), or more seeds; when many more than those nine are missed, the swarm has lost its bite.
  std::string missed;
  for (const auto& [branch, taken] : report.branches) missed += taken == 0 ? "\n  " + branch : "";
  EXPECT_LE(std::count(missed.begin(), missed.end(), '\n'), 15) << "rare branches that no seed has taken:" << missed;
}

TEST_F(CampaignTest, TheSameSeedIsTheSameRun) {
  for (std::uint64_t seed = 7; seed < 10; ++seed) {
    const auto a = run_seed(seed, {});
    const auto b = run_seed(seed, {});
    EXPECT_EQ(a.events, b.events);
    EXPECT_EQ(a.issued, b.issued);
    EXPECT_EQ(a.fresh_reads, b.fresh_reads);
    EXPECT_EQ(a.simulated_seconds, b.simulated_seconds);
  }
}

// Found within some dozens of seeds. `make bugs` looks for the others too, which takes longer.
bool is_quick(store::Bug bug) {
  using store::Bug;
  for (const Bug quick :
       {Bug::kGrantWithoutLogCheck, Bug::kCountFromReceipt, Bug::kIgnorePromises,    Bug::kReadPending,
        Bug::kAckOnAppend,          Bug::kReadOwnLogOnly,   Bug::kLeaseCheckedLast,  Bug::kAckBeforeSync,
        Bug::kForgetVote,           Bug::kOldFloor,         Bug::kForgetPromises,    Bug::kReadOwnCommit,
        Bug::kForgetfulMember,      Bug::kVoteBehindGate,   Bug::kPromiseBehindGate, Bug::kReadToldBehindGate,
        Bug::kTrustEarlierLife,     Bug::kForgetFloor,      Bug::kIgnoreFloor,       Bug::kEpochStays,
        Bug::kUndoOperatorsFence,   Bug::kFenceOnOwnWord,   Bug::kFloorAtHomeOnly,   Bug::kNeverReadmit,
        Bug::kStandInGoesOn,        Bug::kStandInStays,     Bug::kNumberForAnybody,  Bug::kNoFloorAtReadmission}) {
    if (bug == quick) return true;
  }
  return false;
}

class PlantedBug : public testing::TestWithParam<store::PlantedBug> {
 protected:
  void SetUp() override { set_log_level(LogLevel::kOff); }
};

TEST_P(PlantedBug, IsFoundByTheCheckers) {
  if (!is_quick(GetParam().bug)) GTEST_SKIP() << "make bugs";
  const auto scenario = scenario_for(GetParam().bug, EVERCERT_SCENARIOS);
  ASSERT_TRUE(scenario.has_value()) << scenario.error().message;
  bool found = false;
  run_campaign(1, 500, *scenario, [&](const RunReport& run) {
    if (run.violation)
      std::printf("  seed %llu: %s\n", static_cast<unsigned long long>(run.seed),
                  run.violation->substr(0, run.violation->find('\n')).c_str());
    found = run.violation.has_value();
    return !found;
  });
  EXPECT_TRUE(found);
}

INSTANTIATE_TEST_SUITE_P(Each, PlantedBug, testing::ValuesIn(store::kPlantedBugs),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace evercert::sim
