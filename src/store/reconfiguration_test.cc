// SPDX-License-Identifier: Apache-2.0
#include "store/reconfiguration.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

const NodeId kA = node_id(RegionId{1}, 1), kB = node_id(RegionId{2}, 1), kC = node_id(RegionId{3}, 1);
const NodeId kNew = node_id(RegionId{2}, 2);
constexpr LogIndex kCommit{1000};

Configuration voters(std::vector<NodeId> nodes) { return configuration_of(Layout{std::move(nodes), 3}); }
FollowerStatus near(NodeId node) { return {node, LogIndex{990}, true}; }
FollowerStatus level(NodeId node) { return {node, kCommit, true}; }
FollowerStatus behind(NodeId node) { return {node, LogIndex{1}, true}; }
FollowerStatus silent(NodeId node) { return {node, LogIndex{999}, false}; }

TEST(Reconfiguration, NothingIsDoneWhenTheVotersAreThoseWanted) {
  const Step step = next_step(voters({kA, kB, kC}), {kA, kB, kC}, kA, kCommit, {near(kB), near(kC)});
  EXPECT_FALSE(step.change);
  EXPECT_FALSE(step.hand_over);
}

TEST(Reconfiguration, ANewNodeFollowsFirst) {
  const Step step = next_step(voters({kA, kB, kC}), {kA, kB, kNew, kC}, kA, kCommit, {near(kB), near(kC)});
  ASSERT_TRUE(step.change);
  EXPECT_EQ(step.change->learners, std::vector{kNew});
  EXPECT_TRUE(step.change->voters.empty());
  EXPECT_FALSE(step.change->joint);
}

TEST(Reconfiguration, WhoHasNotCaughtUpDoesNotVote) {
  Configuration present = voters({kA, kB, kC});
  present.learners = {kNew};
  EXPECT_FALSE(next_step(present, {kA, kB, kNew, kC}, kA, kCommit, {near(kB), near(kC), behind(kNew)}).change);
  EXPECT_FALSE(next_step(present, {kA, kB, kNew, kC}, kA, kCommit, {near(kB), near(kC), silent(kNew)}).change);
}

TEST(Reconfiguration, WhoDoesNotRememberDoesNotVoteHoweverNearItIs) {
  Configuration present = voters({kA, kB, kC});
  present.learners = {kNew};
  FollowerStatus newcomer = near(kNew);
  newcomer.remembers = false;
  EXPECT_FALSE(next_step(present, {kA, kB, kNew, kC}, kA, kCommit, {near(kB), near(kC), newcomer}).change);
  EXPECT_TRUE(next_step(present, {kA, kB, kNew, kC}, kA, kCommit, {near(kB), near(kC), near(kNew)}).change);
}

TEST(Reconfiguration, AMemberThatIsNoNodeIsRefusedWhoeverSaysIt) {
  const auto decoded = [](std::uint64_t node) {
    Configuration members = voters({kA, kB, kC});
    members.learners = {NodeId{node}};
    return decode_configuration(encode(members), 3);
  };
  EXPECT_TRUE(decoded(kNew.value));
  for (const std::uint64_t node : {0ull, 1ull, 256ull, 26 * 256 + 1ull, 200 * 256 + 1ull, 1ull << 40})
    EXPECT_EQ(decoded(node).error().code, Code::kCorrupt) << node;
}

// Two are left, and one of them has lost its disk and is not through: alone the other could elect nobody.
TEST(Reconfiguration, NobodyLeavesWhoseMajorityAloneRemembers) {
  const Configuration present = voters({kA, kB, kC});
  FollowerStatus recovering = near(kB);
  recovering.remembers = false;
  EXPECT_FALSE(next_step(present, {kA, kB}, kA, kCommit, {recovering, near(kC)}).change);
  EXPECT_TRUE(next_step(present, {kA, kB}, kA, kCommit, {near(kB), near(kC)}).change);
}

TEST(Reconfiguration, VotersAreExchangedInAJointConfiguration) {
  Configuration present = voters({kA, kB, kC});
  present.learners = {kNew};
  const Step step = next_step(present, {kA, kNew, kC}, kA, kCommit, {silent(kB), near(kC), near(kNew)});
  ASSERT_TRUE(step.change);
  EXPECT_TRUE(step.change->joint);
  EXPECT_EQ(step.change->voters, std::vector{kNew});
  EXPECT_EQ(step.change->removed, std::vector{kB});
}

TEST(Reconfiguration, NoChangeIsBegunThatTheNewVotersCouldNotFinish) {
  const Step step = next_step(voters({kA, kB, kC}), {kA, kB}, kA, kCommit, {silent(kB), near(kC)});
  EXPECT_FALSE(step.change);
}

TEST(Reconfiguration, WhoIsToBeRemovedHandsOverFirst) {
  const Step step = next_step(voters({kA, kB, kC}), {kB, kC}, kA, kCommit, {near(kB), level(kC)});
  EXPECT_FALSE(step.change);
  EXPECT_EQ(step.hand_over, kC);
}

TEST(Reconfiguration, AJointConfigurationIsLeftByAChangeOfNothing) {
  Configuration present = voters({kA, kB, kNew});
  present.halves.push_back(Layout{{kA, kB, kC}, 3});
  const Step step = next_step(present, {kA, kB, kNew}, kA, kCommit, {near(kB), near(kC), near(kNew)});
  ASSERT_TRUE(step.change);
  EXPECT_TRUE(step.change->learners.empty() && step.change->voters.empty() && step.change->removed.empty());
  EXPECT_FALSE(step.change->joint);
  // A leader without a vote in the new configuration would have nobody to lead.
  const Step leaving = next_step(present, {kA, kB, kNew}, kC, kCommit, {level(kA), near(kB), near(kNew)});
  EXPECT_FALSE(leaving.change);
  EXPECT_EQ(leaving.hand_over, kA);
}

TEST(Reconfiguration, WhileTheGroupGathersNewNodesFollowAndNobodyGoes) {
  Configuration present = voters({kA, kB, kC});
  EXPECT_TRUE(next_step(present, {kA, kNew, kC}, kA, kCommit, {near(kB), near(kC)}, true).change);
  present.learners = {kNew};
  const Step step = next_step(present, {kA, kNew, kC}, kA, kCommit, {near(kB), near(kC), near(kNew)}, true);
  EXPECT_FALSE(step.change || step.hand_over);
  const Step leaving = next_step(present, {kA, kNew, kC}, kB, kCommit, {level(kA), near(kC), near(kNew)}, true);
  EXPECT_EQ(leaving.hand_over, kA) << "who is to go does not see when the other groups are done";
}

TEST(Reconfiguration, WhileTheGroupGathersItTakesInWhoVotesInAnotherGroup) {
  const Step step = next_step(voters({kA, kB, kC}), {kA, kB, kC}, kA, kCommit, {near(kB), near(kC)}, true, {kA, kNew});
  ASSERT_TRUE(step.change);
  EXPECT_EQ(step.change->learners, std::vector{kNew});
  EXPECT_FALSE(step.change->joint);
}

TEST(Reconfiguration, WhoFollowsAndIsNotWantedAnyMoreIsLetGo) {
  Configuration present = voters({kA, kB, kC});
  present.learners = {kNew};
  const Step step = next_step(present, {kA, kB, kC}, kA, kCommit, {near(kB), near(kC), silent(kNew)});
  ASSERT_TRUE(step.change);
  EXPECT_EQ(step.change->removed, std::vector{kNew});
  EXPECT_FALSE(step.change->joint);
}

// Nodes 1/1, 2/1 and 3/1 vote, 3/1 is a witness.
TEST(Reconfiguration, NobodyHandsOverToAWitness) {
  const NodeId a{257}, b{513}, w{769}, a2{258}, b2{514};
  const RegionSet witnesses = region_bit(RegionId{3});
  Configuration present = configuration_of(Layout{{a, b, w}, 3});
  present.learners = {a2, b2};
  const std::vector<FollowerStatus> followers{
      {b, LogIndex{9}, true}, {w, LogIndex{9}, true}, {a2, LogIndex{9}, true}, {b2, LogIndex{9}, true}};
  const Step step = next_step(present, {a2, b2, w}, a, LogIndex{9}, followers, false, {}, witnesses);
  EXPECT_FALSE(step.hand_over) << "the witness alone stays, and it carries out no change";
  ASSERT_TRUE(step.change);
  EXPECT_TRUE(step.change->joint);
  // It does not wait for other groups then: it is let go of by them, and may never hear how they ended.
  const NodeId guest{770};
  const Step alone = next_step(present, {a2, b2, w}, a, LogIndex{9}, followers, true, {guest}, witnesses);
  EXPECT_TRUE(alone.change && alone.change->joint);
  present.learners = {a2};
  EXPECT_EQ(next_step(present, {a2, b, w}, a, LogIndex{9}, followers, false, {}, witnesses).hand_over, b);
}

}  // namespace
}  // namespace evercert::store
