// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/detection.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace evercert::recovery {
namespace {

NodeId node(std::uint8_t region, std::uint8_t zone = 1) { return node_id(RegionId{region}, zone); }

class DetectionTest : public testing::Test {
 protected:
  DetectionTest() {
    for (std::uint8_t r = 1; r <= 3; ++r) {
      cluster.regions[RegionId{r}] = std::string("region-") + static_cast<char>('0' + r);
      for (std::uint8_t z = 1; z <= 2; ++z) cluster.nodes[node(r, z)] = RegionId{r};
    }
    for (const auto& [id, region] : cluster.nodes) {
      Observation& o = picture.seen[id].what;
      picture.seen[id].at = now;
      o.node = id;
      o.components["HSM"] = 100;
      for (const auto& [other, name] : cluster.regions) o.scores[other] = 100;
      for (const auto& [other, of] : cluster.nodes) {
        o.nodes[other] = 100;
        if (other != id) o.silent[other] = 50ms;
      }
      for (std::uint32_t g = 0; g <= 3; ++g) o.groups.push_back({GroupId{g}, node(1), 0ms, 20ms});
    }
    for (const auto& [region, name] : cluster.regions) picture.members[region] = {};
    picture.members_at = now;
  }
  Observation& of(std::uint8_t region, std::uint8_t zone = 1) { return picture.seen[node(region, zone)].what; }
  void says_out(std::uint8_t observer, std::uint8_t region) {
    for (std::uint8_t z = 1; z <= 2; ++z) {
      of(observer, z).out[RegionId{region}] = "api 0 of 2";
      of(observer, z).scores[RegionId{region}] = 0;
    }
  }
  void mute(std::uint8_t from, std::uint8_t to) {
    for (std::uint8_t a = 1; a <= 2; ++a) {
      for (std::uint8_t b = 1; b <= 2; ++b) of(to, b).silent[node(from, a)] = 6s;
    }
  }
  std::vector<std::string> found() {
    std::vector<std::string> subjects;
    for (const Finding& finding : detect(Sight(cluster, picture, policy, now)))
      subjects.push_back(std::string(to_string(finding.kind)) + " " + finding.subject);
    return subjects;
  }
  std::string blind() { return Sight(cluster, picture, policy, now).blind(); }

  Instant now{100'000'000};
  Cluster cluster;
  Picture picture;
  Policy policy;
};

using Strings = std::vector<std::string>;

TEST_F(DetectionTest, NothingIsFoundWhereNothingIsWrong) {
  EXPECT_EQ(found(), Strings{});
  EXPECT_EQ(blind(), "");
}

TEST_F(DetectionTest, ARegionIsOutByTwoRegionsWordAndNotByThatOfAllNodesOfOne) {
  says_out(2, 3);
  EXPECT_EQ(found(), Strings{});
  says_out(1, 3);
  EXPECT_EQ(found(), Strings{"region region-3"});
}

TEST_F(DetectionTest, TheStoresMajorityIsBelievedAndAPersonsFenceIsNoFailure) {
  picture.members[RegionId{3}] = {Standing::kFenced, "attested", true, {}};
  EXPECT_EQ(found(), Strings{"region region-3"});
  picture.members[RegionId{3}] = {Standing::kFenced, "alice", true, {}};
  EXPECT_EQ(found(), Strings{});
}

TEST_F(DetectionTest, AnOldWordSaysNothingAndTooFewMakeBlind) {
  says_out(1, 3);
  says_out(2, 3);
  for (std::uint8_t z = 1; z <= 2; ++z) picture.seen[node(2, z)].at = now - policy.stale - 1ms;
  EXPECT_EQ(found(), Strings{});
  EXPECT_EQ(blind(), "") << "two of three regions are heard";
  for (std::uint8_t z = 1; z <= 2; ++z) picture.seen[node(3, z)].at = now - policy.stale - 1ms;
  EXPECT_NE(blind(), "");
}

TEST_F(DetectionTest, WithoutAFreshMembershipRecordNothingIsDecided) {
  picture.members_at = now - policy.stale - 1ms;
  EXPECT_NE(blind(), "");
  picture.members_at.reset();
  EXPECT_NE(blind(), "");
}

TEST_F(DetectionTest, AZoneIsDownWhenAllNodesOfTwoRegionsSaySo) {
  for (std::uint8_t r : {1, 2}) of(r, 1).nodes[node(3, 2)] = 0;
  EXPECT_EQ(found(), Strings{}) << "each of the regions has a node that sees it";
  for (std::uint8_t r : {1, 2}) of(r, 2).nodes[node(3, 2)] = 0;
  EXPECT_EQ(found(), Strings{"zone region-3/2"});
  says_out(1, 3);
  says_out(2, 3);
  EXPECT_EQ(found(), Strings{"region region-3"}) << "the whole region is not told of in parts";
}

TEST_F(DetectionTest, ANodeThatAnswersAndOnlyLagsIsNoZoneThatIsDown) {
  for (const auto& [id, region] : cluster.nodes) {
    if (id != node(2, 2)) picture.seen[id].what.nodes[node(2, 2)] = 0;
  }
  of(2, 2).components["replication"] = 0;
  EXPECT_EQ(found(), std::vector<std::string>{}) << "it has just caught up";
  of(2, 2).components["database"] = 0;
  EXPECT_EQ(found(), std::vector<std::string>{"zone region-2/2"}) << "it reaches no majority";
  of(2, 2).components["database"] = 100;
  picture.seen.erase(node(2, 2));
  EXPECT_EQ(found(), std::vector<std::string>{"zone region-2/2"}) << "nobody hears it";
}

TEST_F(DetectionTest, APartOfANodeIsDownByItsOwnWord) {
  of(2, 1).components["HSM"] = 0;
  EXPECT_EQ(found(), Strings{"component region-2/1 HSM"});
}

TEST_F(DetectionTest, APartitionOneWayIsToldFromOneBothWays) {
  mute(1, 2);
  EXPECT_EQ(found(), Strings{"partition region-1 to region-2"});
  mute(2, 1);
  EXPECT_EQ(found(), Strings{"partition region-1 and region-2"});
  of(2, 2).silent[node(1, 1)] = 100ms;
  EXPECT_EQ(found(), Strings{"partition region-2 to region-1"}) << "one connection that brings something is enough";
}

TEST_F(DetectionTest, AGroupHasNoLeaderWhenNobodyKnowsOne) {
  for (auto& [id, seen] : picture.seen) {
    seen.what.groups[0].leader = NodeId{};
    seen.what.groups[0].leaderless = 4s;
  }
  EXPECT_EQ(found(), Strings{"database the global group, leader"});
  of(1).groups[0].leader = node(2);
  EXPECT_EQ(found(), Strings{});
}

TEST_F(DetectionTest, WhatTheOthersWouldBeUsedToCountsTheLoadOfAll) {
  for (auto& [id, seen] : picture.seen) seen.what.load.busy = 1, seen.what.load.cores = 2;
  EXPECT_DOUBLE_EQ(Sight(cluster, picture, policy, now).utilisation_without(RegionId{3}), 6.0 / 8);
  picture.members[RegionId{2}] = {Standing::kDraining, "alice", true, {}};
  EXPECT_DOUBLE_EQ(Sight(cluster, picture, policy, now).utilisation_without(RegionId{3}), 6.0 / 4);
}

}  // namespace
}  // namespace evercert::recovery
