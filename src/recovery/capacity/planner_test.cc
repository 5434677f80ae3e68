// SPDX-License-Identifier: Apache-2.0
#include "recovery/capacity/planner.h"

#include <gtest/gtest.h>

#include "recovery/capacity/spare_node.h"

namespace evercert::recovery {
namespace {

Instant at(double seconds) { return Instant{static_cast<std::int64_t>(seconds * 1e6)}; }

class PlannerTest : public testing::Test {
 protected:
  PlannerTest() {
    for (std::uint8_t r = 1; r <= 3; ++r) {
      for (std::uint8_t z = 1; z <= 2; ++z) nodes_[node_id(RegionId{r}, z)] = RegionId{r};
    }
  }
  std::vector<NodeLoad> loads(double rate, double busy, double cores = 4) const {
    std::vector<NodeLoad> all;
    for (const auto& [node, region] : nodes_) all.push_back({node, rate, busy, cores});
    return all;
  }
  std::map<NodeId, RegionId> nodes_;
};

TEST(ErlangC, IsWhatTheTablesSay) {
  EXPECT_NEAR(erlang_c(1, 0.5), 0.5, 1e-12);    // M/M/1: the utilisation itself
  EXPECT_NEAR(erlang_c(2, 1), 1.0 / 3, 1e-12);  // by hand: 2 servers, half busy
  EXPECT_NEAR(erlang_c(10, 8), 0.4092, 1e-4);
  EXPECT_EQ(erlang_c(4, 4), 1);
  EXPECT_EQ(erlang_c(0, 1), 1);
}

// 24 processors, 0.8 of which may be used; a region has 8.
TEST_F(PlannerTest, SaysHowManyRegionsMayFail) {
  Planner planner(nodes_);
  planner.measured(loads(100, 1), at(1));  // 6 of 24 busy
  EXPECT_EQ(planner.report(at(2)).regions_now, 2) << "8 are left, of which 6.4 may be used";
  planner.measured(loads(100, 1.2), at(3));  // 7.2
  EXPECT_EQ(planner.report(at(4)).regions_now, 1);
  planner.measured(loads(100, 2.2), at(5));  // 13.2 of the 12.8 that two regions may use
  const auto report = planner.report(at(6));
  EXPECT_EQ(report.regions_now, 0);
  EXPECT_LT(report.after[1].headroom, 0);
  EXPECT_NEAR(report.after[1].headroom, 12.8 - 13.2, 1e-9);
  EXPECT_EQ(report.zones_now, 1) << "20 are left, of which 16 may be used";
  EXPECT_EQ(report.regions_by_majority, 1);
}

TEST_F(PlannerTest, ARegionThatIsGoneIsOneOfThoseThatMayFail) {
  Planner planner(nodes_);
  EXPECT_EQ(planner.report(at(0)).regions_by_majority, 1) << "nobody has been looked at";
  planner.measured(loads(100, 1), at(0));
  auto left = loads(100, 1);
  std::erase_if(left, [&](const NodeLoad& load) { return nodes_.at(load.node) == RegionId{1}; });
  planner.measured(left, at(120));
  EXPECT_EQ(planner.report(at(120)).regions_by_majority, 0) << "two of three are left, and issuance needs both";
}

TEST_F(PlannerTest, ThePeakOfTheWindowCountsAndIsForgottenAfterIt) {
  PlannerOptions options;
  options.window = 3600s;
  Planner planner(nodes_, options);
  planner.measured(loads(100, 2.2), at(0));
  planner.measured(loads(100, 0.1), at(600));
  auto report = planner.report(at(600));
  EXPECT_NEAR(report.peak, 13.2, 1e-9);
  EXPECT_EQ(report.regions_now, 2);
  EXPECT_EQ(report.regions_peak, 0);
  planner.measured(loads(100, 0.1), at(5000));
  EXPECT_NEAR(planner.report(at(5000)).peak, 0.6, 1e-9);
}

TEST_F(PlannerTest, ARegionNoneOfWhoseEdgesAnswersHasNoCapacity) {
  Planner planner(nodes_);
  const auto with = [&](int answering, bool one_node_sees) {
    auto all = loads(100, 1);
    for (NodeLoad& load : all) {
      load.edges = 2;
      load.edges_answering = 2;
      load.edge_busy = 0.1;
      load.edge_cores = 4;
      if (region_of(load.node) != RegionId{3}) continue;
      load.edges_answering = one_node_sees && load.node.value % 256 == 1 ? 1 : answering;
      if (load.edges_answering == 0) load.edge_busy = load.edge_cores = 0;
    }
    return all;
  };
  planner.measured(with(1, false), at(1));
  EXPECT_EQ(planner.report(at(2)).regions_now, 2) << "one edge lets clients in";
  planner.measured(with(0, true), at(11));
  EXPECT_FALSE(planner.report(at(12)).regions.at(RegionId{3}).unreachable()) << "one of its nodes hears one";
  planner.measured(with(0, false), at(21));
  const auto report = planner.report(at(22));
  EXPECT_TRUE(report.regions.at(RegionId{3}).unreachable());
  EXPECT_EQ(report.regions.at(RegionId{3}).most, 0);
  EXPECT_GT(report.regions.at(RegionId{1}).most, 0);
  EXPECT_NEAR(report.cores, 16, 1e-9) << "its processors are there, and nobody can use them";
  EXPECT_EQ(report.regions_now, 1) << "6 are busy, and one of the two regions that are left may use 6.4";
  EXPECT_EQ(report.after.size(), 3u);
  EXPECT_NEAR(report.after[1].cores, 8, 1e-9);
  auto unknown = loads(100, 1);
  planner.measured(unknown, at(31));
  EXPECT_NEAR(planner.report(at(32)).cores, 24, 1e-9) << "edges that nobody has looked at are not dead";
}

TEST_F(PlannerTest, ANodeThatIsNotHeardHasNoCapacity) {
  Planner planner(nodes_);
  planner.measured(loads(100, 1), at(1));
  auto two = loads(150, 1.5);
  std::erase_if(two, [](const NodeLoad& load) { return region_of(load.node) == RegionId{3}; });
  planner.measured(two, at(100));
  const auto report = planner.report(at(101));
  EXPECT_DOUBLE_EQ(report.cores, 16);
  EXPECT_EQ(report.regions.at(RegionId{3}).nodes, 0);
  EXPECT_EQ(report.regions_now, 1) << "one of the two that are left: 8 processors, 6 busy";
}

TEST_F(PlannerTest, WhatIsSpentWithoutRequestsIsToldApartWhenTheLoadVaries) {
  Planner planner(nodes_);
  for (int i = 0; i < 100; ++i) {
    const double rate = 100 + 80 * (i % 5 - 2) / 2.0;
    planner.measured(loads(rate, 0.3 + rate * 0.002), at(i * 10));
  }
  const auto report = planner.report(at(1000));
  ASSERT_TRUE(report.idle_known);
  EXPECT_NEAR(*report.per_request, 0.002, 1e-9);
  EXPECT_NEAR(report.idle, 1.8, 1e-9);
  // (8 processors * 0.8 - 0.6 idle) / 2 ms
  EXPECT_NEAR(report.regions.at(RegionId{1}).most, 2900, 1e-6);
}

TEST_F(PlannerTest, AtASteadyLoadAllThatIsSpentIsTheRequests) {
  Planner planner(nodes_);
  for (int i = 0; i < 100; ++i) planner.measured(loads(100, 0.5), at(i * 10));
  const auto report = planner.report(at(1000));
  EXPECT_FALSE(report.idle_known);
  EXPECT_NEAR(*report.per_request, 0.005, 1e-12);
  Planner quiet(nodes_);
  quiet.measured(loads(0.01, 0.5), at(1));
  EXPECT_FALSE(quiet.report(at(2)).per_request) << "a request a minute says nothing about what one costs";
}

TEST_F(PlannerTest, GrowthReachesTheLimit) {
  Planner planner(nodes_);
  for (int minute = 0; minute < 60; ++minute) planner.measured(loads(100, 1 + 0.01 * minute), at(minute * 60));
  const auto report = planner.report(at(3600));
  ASSERT_TRUE(report.trend_known);
  // 9.6 busy now, 0.06 a minute: 12.8 in 53 minutes; 6.4 has passed.
  ASSERT_TRUE(report.until_n1);
  EXPECT_NEAR(static_cast<double>(report.until_n1->count()) / 60e6, 53, 3);
  ASSERT_TRUE(report.until_n2);
  EXPECT_EQ(*report.until_n2, Duration{0});
}

TEST(Planner, NodesThatComeAndGoAreCountedAndAWitnessIsPartOfTheMajority) {
  const NodeId east = node_id(RegionId{1}, 1), west = node_id(RegionId{2}, 1), further = node_id(RegionId{2}, 2);
  Planner planner({{east, RegionId{1}}, {west, RegionId{2}}}, {.witness_regions = 1});
  const std::vector<NodeLoad> loads{{east, 10, 1, 4}, {west, 10, 1, 4}, {further, 10, 1, 4}};
  planner.measured(loads, Instant{1'000'000});
  EXPECT_EQ(planner.report(Instant{1'000'000}).cores, 8) << "who is none of the nodes does not count";
  EXPECT_EQ(planner.report(Instant{1'000'000}).regions_by_majority, 1) << "two of three are left";
  planner.set_nodes({{east, RegionId{1}}, {west, RegionId{2}}, {further, RegionId{2}}});
  planner.measured(loads, Instant{2'000'000});
  EXPECT_EQ(planner.report(Instant{2'000'000}).cores, 12);
  planner.set_nodes({{east, RegionId{1}}, {further, RegionId{2}}});
  EXPECT_EQ(planner.report(Instant{2'000'000}).cores, 8);
}

TEST_F(PlannerTest, WhatIsUsedUpFirstBindsAndIsNamed) {
  const auto with = [&](double edge_busy, double edge_cores, double signs, double most_signs) {
    auto all = loads(100, 0.5);  // 3 of 24 processors busy, 600 requests a second
    for (NodeLoad& load : all) {
      load.edge_busy = edge_busy, load.edge_cores = edge_cores;
      load.signs = signs, load.most_signs = most_signs;
    }
    return all;
  };
  Planner plain(nodes_);
  plain.measured(with(0, 0, 0, 0), at(1));
  auto report = plain.report(at(2));
  EXPECT_EQ(report.regions_now, 2);
  EXPECT_EQ(report.bound_by, Resource::kProcessors);
  const double by_processors = report.regions.at(RegionId{1}).most;

  Planner edges(nodes_);  // a region's edges: 2 of 4 busy, so 6 of the 9.6 that three regions may use
  edges.measured(with(2, 4, 0, 0), at(1));
  report = edges.report(at(2));
  EXPECT_EQ(report.regions_now, 1) << "one region's edges may use 3.2";
  EXPECT_EQ(report.regions_peak, 1);
  EXPECT_EQ(report.bound_by, Resource::kEdges);
  EXPECT_NEAR(report.regions.at(RegionId{1}).most, 4 * 0.8 * 600 / 6, 1e-9);
  EXPECT_LT(report.regions.at(RegionId{1}).most, by_processors);
  EXPECT_EQ(report.regions.at(RegionId{1}).bound_by, Resource::kEdges);
  EXPECT_EQ(report.after[1].bound_by, Resource::kEdges);
  EXPECT_NEAR(report.after[1].bound_utilisation, 6.0 / 8, 1e-9);

  Planner token(nodes_);  // 600 signatures a second; a region's tokens make 260
  token.measured(with(0.1, 4, 100, 130), at(1));
  report = token.report(at(2));
  EXPECT_EQ(report.regions_now, 0) << "two regions' tokens may make 416";
  EXPECT_EQ(report.bound_by, Resource::kToken);
  EXPECT_EQ(report.regions.at(RegionId{2}).bound_by, Resource::kToken);
  EXPECT_NEAR(report.regions.at(RegionId{2}).most, 260 * 0.8, 1e-9);
  token.measured(with(0.1, 4, 1, 130), at(100));
  EXPECT_EQ(token.report(at(100)).regions_now, 2);
  EXPECT_EQ(token.report(at(100)).regions_peak, 0) << "the peak of signatures is kept as that of processors";
}

TEST_F(PlannerTest, WhatNobodyHasMeasuredEverywhereBindsNothing) {
  auto all = loads(100, 0.5);
  all.front().most_signs = all.front().signs = 100;  // one region has tokens
  Planner planner(nodes_);
  planner.measured(all, at(1));
  EXPECT_EQ(planner.report(at(2)).regions_now, 2);
  EXPECT_EQ(planner.report(at(2)).bound_by, Resource::kProcessors);
}

TEST(SpareNode, IsAddedWhenItRunsAndEndedWhenNobodyWaitsForItAnyMore) {
  using Step = SpareNodeStep;
  SpareNodeStanding node{.settled = true};
  EXPECT_EQ(next_step(node), Step::kNone) << "calm times";
  node.wanted = node.runs = true;
  EXPECT_EQ(next_step(node), Step::kNone) << "it does not answer yet";
  node.answers = true;
  node.settled = false;
  EXPECT_EQ(next_step(node), Step::kNone) << "another change is under way";
  node.settled = true;
  EXPECT_EQ(next_step(node), Step::kAdd);
  node.named = node.member = true;
  EXPECT_EQ(next_step(node), Step::kNone);
  node.wanted = false;
  EXPECT_EQ(next_step(node), Step::kRemove);
  node.named = false;
  EXPECT_EQ(next_step(node), Step::kNone) << "a group still counts on it";
  node.member = false;
  EXPECT_EQ(next_step(node), Step::kEnd);
  EXPECT_EQ(next_step({.named = true, .member = true, .settled = true}), Step::kRemove)
      << "left behind by a starter that was started anew";
}

}  // namespace
}  // namespace evercert::recovery
