// SPDX-License-Identifier: Apache-2.0
#include "health/score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace evercert::health {
namespace {

Score well() { return {}; }
Score down(const char* why) { return {0, {{100, why}}}; }

TEST(Score, ValuesAreFullUpToGoodAndNothingFromBadOn) {
  EXPECT_EQ(graded(10, 100, 1000), 100);
  EXPECT_EQ(graded(100, 100, 1000), 100);
  EXPECT_EQ(graded(550, 100, 1000), 50);
  EXPECT_EQ(graded(1000, 100, 1000), 0);
  EXPECT_EQ(graded(1e300, 100, 1000), 0);
  EXPECT_EQ(graded(std::numeric_limits<double>::quiet_NaN(), 100, 1000), 0) << "what cannot be measured is not well";
}

TEST(Score, TheWholeIsReadWithItsReasonsTheWeightiestFirst) {
  const Score hsm = any_of("HSM", {well(), well(), down("slot 2 gone")});
  const Score lag = measured(442, 100, 1000, "lag p99 442 ms");
  const Score region = all_of({lag, hsm});
  EXPECT_EQ(region.to_text(), "59: lag p99 442 ms, HSM 2 of 3 (slot 2 gone)");
  EXPECT_EQ(Score{}.to_text(), "100");
}

TEST(Score, WhatAllIsNeededForIsAsBadAsItsWorstPartAndEveryOtherCosts) {
  EXPECT_EQ(all_of({well(), down("database"), well()}).points, 0);
  const double one = all_of({{60, {}}, well()}).points, two = all_of({{60, {}}, {60, {}}}).points;
  EXPECT_EQ(one, 60);
  EXPECT_LT(two, one);
  EXPECT_EQ(all_of({}).points, 100);
}

TEST(Score, ReplicasStandInForEachOtherUntilTooFewAreLeft) {
  EXPECT_NEAR(any_of("node", {well(), down("a"), well()}, 2).points, 66.7, 0.1);
  EXPECT_EQ(any_of("node", {well(), down("a"), down("b")}, 2).points, 0) << "one of three is no quorum";
  EXPECT_EQ(any_of("node", {}).points, 0) << "nothing is not well";
  EXPECT_EQ(any_of("node", {}).reasons.size(), 1u);
  EXPECT_TRUE(any_of("node", {well(), well()}).reasons.empty());
}

TEST(Score, TheGlobeCountsRegionsByWhatTheyCarry) {
  const Score globe = mean_of({{"us-east-1", 3, well()}, {"eu-central-1", 1, down("api down")}});
  EXPECT_EQ(globe.points, 75);
  EXPECT_EQ(globe.to_text(), "75: eu-central-1 0: api down");
  EXPECT_EQ(mean_of({}).points, 0);
}

TEST(Score, ManyReasonsAreCutWithTheirNumber) {
  std::vector<Score> parts;
  for (int i = 0; i < 6; ++i) parts.push_back(measured(200 + i, 100, 1000, "r" + std::to_string(i)));
  EXPECT_NE(all_of(parts).to_text(2).find(", and 4 more"), std::string::npos);
}

}  // namespace
}  // namespace evercert::health
