// SPDX-License-Identifier: Apache-2.0
#include "sim/lease_model.h"

#include <gtest/gtest.h>

namespace evercert::sim {
namespace {

std::string to_text(const ModelReport& report) {
  std::string text;
  if (report.violation) {
    for (const auto& step : *report.violation) text += step + "\n";
  }
  return text;
}

// `make model` goes further.
TEST(LeaseModel, NothingThatCanHappenMakesALeasedRegionMissAnAnsweredWrite) {
  const ModelReport report = explore({.restarts = 0, .elections = 0, .states = 300'000});
  EXPECT_FALSE(report.violation.has_value()) << to_text(report);
  EXPECT_GT(report.states, 1'000u);
}

TEST(LeaseModel, APlantedBugIsFoundWithTheStepsThatLeadToIt) {
  const ModelReport report = explore({.restarts = 0, .elections = 0, .states = 300'000}, store::Bug::kIgnorePromises);
  ASSERT_TRUE(report.violation.has_value());
  EXPECT_LT(report.violation->size(), 15u) << to_text(report);
}

}  // namespace
}  // namespace evercert::sim
