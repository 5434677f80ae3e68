// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>

#include "recovery/failover/failover_world_test.h"

namespace evercert::recovery {
namespace {

std::uint64_t asked_for(const char* variable, std::uint64_t otherwise) {
  const char* asked = std::getenv(variable);
  return asked == nullptr ? otherwise : std::strtoull(asked, nullptr, 10);
}

// EVERCERT_FIRST_SEED and EVERCERT_SEEDS (how many): a campaign, or one seed that failed once more.
const std::uint64_t kFirst = asked_for("EVERCERT_FIRST_SEED", 1), kSeeds = asked_for("EVERCERT_SEEDS", 40);

TEST(FailoverSim, EveryPromiseIsKeptWhateverBreaks) {
  WorldFacts all;
  for (std::uint64_t seed = kFirst; seed < kFirst + kSeeds; ++seed) {
    World world(seed, Bug::kNone);
    EXPECT_EQ(world.run(), "") << "seed " << seed << ": " << world.history(25);
    const WorldFacts& facts = world.facts();
    all.diverted += facts.diverted;
    all.returned += facts.returned;
    all.elections += facts.elections;
    all.adopted_pending += facts.adopted_pending;
    all.refused_writes += facts.refused_writes;
    all.zombie_effects += facts.zombie_effects;
    all.approvals += facts.approvals;
    all.closed += facts.closed;
    all.late_changes += facts.late_changes;
    all.words += facts.words;
    all.plans_ended += facts.plans_ended;
    all.nodes_diverted += facts.nodes_diverted;
    all.nodes_returned += facts.nodes_returned;
    all.trimmed += facts.trimmed;
    all.majorities_lost += facts.majorities_lost;
  }
  std::printf(
      "%lu diversions, %lu returns, of nodes %lu and %lu, %lu elections, %lu steps taken over half done, %lu writes "
      "and %lu changes of the "
      "replaced refused, %lu late effects, %lu approvals, %lu words of persons, %lu majorities lost, %lu incidents "
      "closed\n",
      all.diverted, all.returned, all.nodes_diverted, all.nodes_returned, all.elections, all.adopted_pending,
      all.refused_writes, all.late_changes, all.zombie_effects, all.approvals, all.words, all.majorities_lost,
      all.closed);
  if (kSeeds < 40) return;
  // What is never reached is not tested.
  for (const std::uint64_t reached :
       {all.diverted, all.returned, all.elections, all.adopted_pending, all.refused_writes, all.zombie_effects,
        all.approvals, all.closed, all.late_changes, all.words, all.plans_ended, all.nodes_diverted, all.nodes_returned,
        all.trimmed, all.majorities_lost})
    EXPECT_GT(reached, 0u);
}

class PlantedBugs : public testing::TestWithParam<PlantedBug> {};

TEST_P(PlantedBugs, AreFound) {
  std::uint64_t found = 0;
  std::string first;
  const std::uint64_t most = 400;
  for (std::uint64_t seed = 1; seed <= most; ++seed) {
    World world(seed, GetParam().bug);
    const std::string broken = world.run();
    if (broken.empty()) continue;
    first = "seed " + std::to_string(seed) + ", " + broken;
    ++found;
    break;
  }
  EXPECT_EQ(found, 1u) << GetParam().what << " was not found in " << most << " seeds";
  std::printf("%s: %s\n", std::string(GetParam().name).c_str(), first.c_str());
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugs, testing::ValuesIn(std::begin(kPlantedBugs), std::end(kPlantedBugs)),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace evercert::recovery
