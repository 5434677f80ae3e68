// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/log.h"
#include "sim/space/space_run.h"

namespace evercert::sim {
namespace {

std::uint64_t seeds_wanted() {
  const char* text = std::getenv("EVERCERT_SIM_SEEDS");
  return text == nullptr ? 60 : std::strtoull(text, nullptr, 10);
}

class SpaceTest : public testing::Test {
 protected:
  void SetUp() override { set_log_level(LogLevel::kOff); }
};

TEST_F(SpaceTest, LocksExcludeWatchesAreCompleteAndCountsAreExactInAnySeed) {
  std::uint64_t acquisitions = 0, successes = 0;
  std::int64_t revisions = 0, cut = 0;
  for (std::uint64_t seed = 1; seed <= seeds_wanted(); ++seed) {
    const auto report = run_space(seed);
    if (report.violation) ADD_FAILURE() << "seed " << seed << ": " << *report.violation;
    acquisitions += report.acquisitions;
    successes += report.successes;
    revisions += report.revisions;
    cut += report.compacted > 1 ? 1 : 0;
  }
  std::printf("  %llu acquisitions of locks, %llu compare-and-sets, %lld revisions\n",
              static_cast<unsigned long long>(acquisitions), static_cast<unsigned long long>(successes),
              static_cast<long long>(revisions));
  // Runs in which nothing happens prove nothing.
  EXPECT_GT(acquisitions, seeds_wanted() * 4);
  EXPECT_GT(successes, seeds_wanted() * 10);
  EXPECT_GT(cut, static_cast<std::int64_t>(seeds_wanted() / 3));
}

class PlantedSpaceBug : public testing::TestWithParam<coordination::PlantedBug> {
 protected:
  void SetUp() override { set_log_level(LogLevel::kOff); }
};

TEST_P(PlantedSpaceBug, IsFoundByTheCheckers) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    const auto report = run_space(seed, GetParam().bug);
    if (!report.violation) continue;
    std::printf("  seed %llu: %s\n", static_cast<unsigned long long>(seed), report.violation->c_str());
    return;
  }
  ADD_FAILURE() << "not found";
}

INSTANTIATE_TEST_SUITE_P(Each, PlantedSpaceBug, testing::ValuesIn(coordination::kPlantedBugs),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace evercert::sim
