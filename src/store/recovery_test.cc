// SPDX-License-Identifier: Apache-2.0
#include "store/recovery.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

Layout layout_of(std::uint8_t zones) {
  Layout layout;
  layout.regions = 3;
  for (std::uint8_t r = 1; r <= 3; ++r) {
    for (std::uint8_t z = 1; z <= zones; ++z) layout.nodes.push_back(node_id(RegionId{r}, z));
  }
  return layout;
}
const NodeId kSelf = node_id(RegionId{1}, 1);

// The same of every group.
std::vector<Recovery::GroupFacts> facts(std::uint64_t term, std::uint64_t last_term, std::uint64_t last_index) {
  // Each leads in the term that it tells of, so that nothing waits for that.
  return std::vector<Recovery::GroupFacts>(4,
                                           {Term{term}, {Term{last_term}, LogIndex{last_index}}, {}, {}, false, true});
}
std::vector<Recovery::GroupFacts> leaderless(std::uint64_t term, std::uint64_t last_index) {
  auto all = facts(term, term, last_index);
  for (auto& group : all) group.leads = false;
  return all;
}

std::vector<Recovery::GroupFacts> facts_of(const Configuration& configuration, std::uint64_t last_index) {
  auto all = facts(1, 1, last_index);
  for (auto& group : all) group.configuration = configuration;
  return all;
}

TEST(Recovery, WhoRemembersAsksNobody) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, false);
  EXPECT_FALSE(recovery.asking());
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, facts(1, 1, 1)));
}

TEST(Recovery, ANodeThatIsAloneHasNobodyToAsk) {
  Layout layout;
  layout.regions = 1;
  layout.nodes = {kSelf};
  EXPECT_FALSE(Recovery(layout, kSelf, true).asking());
}

TEST(Recovery, TwoOfThreeMustTellBecauseEitherAloneMayHaveBeenInNoQuorumWithThisNode) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, facts(5, 4, 100)));
  EXPECT_TRUE(recovery.asking());
  const auto result = recovery.told(layout.nodes[2], false, facts(6, 3, 200));
  ASSERT_TRUE(result);
  EXPECT_FALSE(recovery.asking());
  for (const auto& group : *result) {
    EXPECT_EQ(group.term, Term{6}) << "the highest term heard counts as voted in";
    EXPECT_EQ(group.last, (Position{Term{4}, LogIndex{100}})) << "the most up-to-date log, not the longest";
  }
}

TEST(Recovery, OfNineFiveOthersAreEnough) {
  const Layout layout = layout_of(3);
  Recovery recovery(layout, kSelf, true);
  for (std::size_t i = 1; i <= 4; ++i) EXPECT_FALSE(recovery.told(layout.nodes[i], false, facts(1, 1, i)));
  const auto result = recovery.told(layout.nodes[5], false, facts(1, 1, 3));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->front().last.index, LogIndex{4});
}

TEST(Recovery, TheSameNodeTwiceIsOneAnswerAndItsLatestCounts) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, facts(1, 1, 1)));
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, facts(2, 2, 2)));
  const auto result = recovery.told(layout.nodes[2], false, facts(1, 1, 1));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->front().term, Term{2});
}

TEST(Recovery, NodesWithoutAMemoryDoNotCountAmongEnough) {
  const Layout layout = layout_of(3);
  Recovery recovery(layout, kSelf, true);
  for (std::size_t i = 1; i <= 4; ++i) EXPECT_FALSE(recovery.told(layout.nodes[i], false, facts(1, 1, 1)));
  for (std::size_t i = 5; i <= 7; ++i) EXPECT_FALSE(recovery.told(layout.nodes[i], true, facts(0, 0, 0), {}, 0, false));
  EXPECT_TRUE(recovery.asking());
}

TEST(Recovery, ANewClusterStartsWhenAllHaveAnsweredThoughNobodyRemembers) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  EXPECT_FALSE(recovery.told(layout.nodes[1], true, facts(0, 0, 0)));
  const auto result = recovery.told(layout.nodes[2], true, facts(0, 0, 0));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->front().term, Term{0});
  EXPECT_EQ(result->front().last, Position{});
}

TEST(Recovery, NodesThatHaveForgottenAClusterBeginNoOtherThoughTheyAreAllThatTheFileNames) {
  const Layout layout = layout_of(1);
  Recovery without(layout, kSelf, true, Bug::kNone, false);
  EXPECT_FALSE(without.told(layout.nodes[1], true, facts(0, 0, 0)));
  EXPECT_FALSE(without.told(layout.nodes[2], true, facts(0, 0, 0)));
  EXPECT_TRUE(without.asking() && without.nobody_remembers());
  Recovery one_is_not_new(layout, kSelf, true);
  EXPECT_FALSE(one_is_not_new.told(layout.nodes[1], true, facts(0, 0, 0)));
  EXPECT_FALSE(one_is_not_new.told(layout.nodes[2], true, facts(0, 0, 0), {}, 0, false));
  EXPECT_TRUE(one_is_not_new.asking() && one_is_not_new.nobody_remembers());
  EXPECT_TRUE(one_is_not_new.told(layout.nodes[2], false, facts(3, 3, 9))) << "somebody remembers after all";
  EXPECT_TRUE(Recovery({{kSelf}, 1}, kSelf, true, Bug::kNone, false).asking()) << "alone, as far as it knows";
}

TEST(Recovery, WhenTwoOfThreeHaveForgottenNeitherGoesOnByTheOtherButWaitsForAPerson) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true, Bug::kNone, false);
  EXPECT_FALSE(recovery.told(layout.nodes[1], true, facts(0, 0, 0), {}, 0, false));
  EXPECT_FALSE(recovery.too_few_remember()) << "the third may have been heard by one of the two";
  EXPECT_FALSE(recovery.told(layout.nodes[2], false, facts(3, 3, 9)));
  EXPECT_TRUE(recovery.asking() && recovery.too_few_remember());
  EXPECT_TRUE(recovery.told(layout.nodes[1], false, facts(3, 3, 9))) << "it remembers after all";
}

TEST(Recovery, ANewNodeWhosePeersHaveJustBegunSpeaksOfNoLoss) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  auto begun = facts(0, 0, 0);
  for (auto& group : begun) group.forgot = true;  // its gate opens in a moment
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, begun));
  EXPECT_FALSE(recovery.told(layout.nodes[2], true, facts(0, 0, 0)));
  EXPECT_FALSE(recovery.too_few_remember() || recovery.nobody_remembers());
  EXPECT_TRUE(recovery.told(layout.nodes[1], false, facts(1, 1, 1)));
}

TEST(Recovery, OneThatIsNewHasNothingToRememberAndHoldsUpNobody) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, facts(1, 1, 1)));
  EXPECT_TRUE(recovery.told(layout.nodes[2], true, facts(0, 0, 0), {}, 0, true));
}

TEST(Recovery, WhoHasNotCaughtUpInOneGroupIsStillHeardOfTheOthers) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true, Bug::kNone, false);
  const Configuration all = configuration_of(layout), without = configuration_of(Layout{{kSelf, layout.nodes[1]}, 3});
  const auto told_by = [&](std::uint64_t last) {
    auto facts = facts_of(all, last);
    facts[2].configuration = without;
    return facts;
  };
  auto third = told_by(8);
  third[2].forgot = true;  // and never catches up, since it votes there no more
  EXPECT_FALSE(recovery.told(layout.nodes[2], false, third));
  EXPECT_TRUE(recovery.told(layout.nodes[1], false, told_by(9)));
}

TEST(Recovery, InAGroupThatItVotesInOneThatHasNotCaughtUpIsNotHeard) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true, Bug::kNone, false);
  auto third = facts(1, 1, 8);
  third[2].forgot = true;
  EXPECT_FALSE(recovery.told(layout.nodes[2], false, third));
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, facts(1, 1, 9)));
  EXPECT_TRUE(recovery.told(layout.nodes[2], false, facts(1, 1, 9))) << "it has now";
}

TEST(Recovery, AnAnswerAboutNoGroupSaysNothing) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, {}));
  EXPECT_FALSE(recovery.told(layout.nodes[2], false, facts(1, 1, 1)));
  EXPECT_TRUE(recovery.asking());
}

TEST(Recovery, ANewNodeTakesTheFoundersFromWhoRemembersAndNotFromItsOwnFile) {
  const Layout founders = layout_of(1);
  Layout file = founders;
  const NodeId self = node_id(RegionId{2}, 2);
  file.nodes.insert(file.nodes.begin() + 2, self);
  Recovery recovery(file, self, true);
  const Configuration present = configuration_of(founders);
  EXPECT_FALSE(recovery.told(founders.nodes[0], false, facts_of(present, 5), founders.nodes));
  ASSERT_TRUE(recovery.told(founders.nodes[1], false, facts_of(present, 7), founders.nodes));
  EXPECT_EQ(recovery.founders(), founders.nodes);
}

TEST(Recovery, ANewNodeBesideANewClusterIsNoneOfItsFounders) {
  const Layout founders = layout_of(1);
  Layout file = founders;
  const NodeId self = node_id(RegionId{2}, 2);
  file.nodes.insert(file.nodes.begin() + 2, self);
  Recovery recovery(file, self, true);
  for (const NodeId node : founders.nodes) EXPECT_FALSE(recovery.told(node, true, facts(0, 0, 0), founders.nodes));
  EXPECT_TRUE(recovery.asking()) << "until one of them remembers";
}

TEST(Recovery, InAJointConfigurationBothHalvesMustTell) {
  const Layout before = layout_of(1);
  const NodeId added = node_id(RegionId{3}, 2);
  Configuration joint = configuration_of(Layout{{kSelf, before.nodes[1], added}, 3});
  joint.halves.push_back(before);
  Recovery recovery(before, kSelf, true);
  EXPECT_FALSE(recovery.told(before.nodes[1], false, facts_of(joint, 9)));
  EXPECT_FALSE(recovery.told(added, false, facts_of(joint, 9))) << "of those before, one has told";
  EXPECT_TRUE(recovery.told(before.nodes[2], false, facts_of(joint, 9)));
}

TEST(Recovery, WhileAChangeOfMembersIsUnderWayThoseItWouldMakeMustTellToo) {
  const Layout layout = layout_of(1);
  const NodeId added = node_id(RegionId{3}, 2), further = node_id(RegionId{2}, 2);
  Recovery recovery(layout, kSelf, true);
  auto changing = facts(1, 1, 9);
  changing[2].coming = {configuration_of(Layout{{kSelf, further, added}, 3})};
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, changing));
  EXPECT_FALSE(recovery.told(layout.nodes[2], false, facts(1, 1, 8)));
  EXPECT_FALSE(recovery.told(added, false, facts(1, 1, 8)));
  EXPECT_TRUE(recovery.told(further, false, facts(1, 1, 8)));
}

// Group 4, of an added region: as its founders' voters have it, or as one has it in whose log the entry is that founds
// it.
std::vector<Recovery::GroupFacts> with_added(std::vector<Recovery::GroupFacts> facts, std::uint64_t term,
                                             std::uint64_t last_index, const std::vector<NodeId>& voters) {
  facts.push_back(
      {Term{term}, {Term{term}, LogIndex{last_index}}, configuration_of(Layout{voters, 4}), {}, false, true});
  return facts;
}

TEST(Recovery, OfAGroupThatWasAddedOneWhoKnowsOfItIsHeardThoughOthersDoNot) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, with_added(facts(3, 3, 9), 2, 7, layout.nodes), layout.nodes, 3));
  const auto result = recovery.told(layout.nodes[2], false, facts(3, 3, 8), layout.nodes, 3);
  ASSERT_TRUE(result);
  ASSERT_EQ(result->size(), 5u);
  EXPECT_EQ(result->back().term, Term{2}) << "it may have voted there in the life that it forgot";
  EXPECT_EQ(result->back().last, (Position{Term{2}, LogIndex{7}}));
  EXPECT_EQ(recovery.founding_regions(), 3);
}

TEST(Recovery, TheVotersOfAGroupThatWasAddedMustTellToo) {
  const Layout layout = layout_of(1);
  const NodeId other = node_id(RegionId{2}, 2), further = node_id(RegionId{3}, 2);
  Recovery recovery(layout, kSelf, true);
  const std::vector<NodeId> voters{kSelf, other, further};
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, with_added(facts(3, 3, 9), 2, 7, voters), layout.nodes, 3));
  EXPECT_FALSE(recovery.told(layout.nodes[2], false, facts(3, 3, 9), layout.nodes, 3))
      << "they are no voters of group 4";
  EXPECT_FALSE(recovery.told(other, false, facts(3, 3, 9), layout.nodes, 3));
  EXPECT_TRUE(recovery.told(further, false, facts(3, 3, 9), layout.nodes, 3));
}

TEST(Recovery, AFileThatNamesMoreRegionsThanTheClusterHasIsNotBelieved) {
  Layout file = layout_of(1);
  const std::vector<NodeId> founders = file.nodes;
  file.nodes.push_back(node_id(RegionId{4}, 1));
  file.regions = 4;
  Recovery recovery(file, node_id(RegionId{4}, 1), true);
  EXPECT_FALSE(recovery.told(founders[0], false, facts_of(configuration_of(Layout{founders, 3}), 5), founders, 3));
  const auto result =
      recovery.told(founders[1], false, facts_of(configuration_of(Layout{founders, 3}), 5), founders, 3);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->size(), 4u) << "the fourth region's group has not begun";
  EXPECT_EQ(recovery.founding_regions(), 3);
}

TEST(Recovery, TheLeaderOfTheHighestTermMustTellSinceAcknowledgementsMayStillBeOnTheirWayToIt) {
  const Layout layout = layout_of(3);
  Recovery recovery(layout, kSelf, true);
  for (std::size_t i = 1; i <= 5; ++i) EXPECT_FALSE(recovery.told(layout.nodes[i], false, leaderless(4, 10)));
  EXPECT_FALSE(recovery.told(layout.nodes[6], false, facts(3, 3, 9))) << "it leads in a term that is over";
  const auto result = recovery.told(layout.nodes[7], false, facts(4, 4, 12));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->front().term, Term{4}) << "it goes on leading";
  EXPECT_EQ(result->front().last, (Position{Term{4}, LogIndex{12}}));
}

TEST(Recovery, WhenNobodyComesToLeadItGoesOnWithoutAndNoLeaderThatIsHiddenGoesOnWithIt) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  EXPECT_FALSE(recovery.told(layout.nodes[1], false, leaderless(4, 10)));
  EXPECT_FALSE(recovery.told(layout.nodes[2], false, leaderless(5, 8)));
  for (int round = 0; round < 100 && recovery.asking(); ++round) {
    recovery.asks_again();
    if (const auto result = recovery.told(layout.nodes[2], false, leaderless(5, 8))) {
      EXPECT_GT(round, 20) << "several elections could have been held";
      EXPECT_EQ(result->front().term, Term{6});
      EXPECT_EQ(result->front().last, (Position{Term{5}, LogIndex{8}}));
    }
  }
  EXPECT_FALSE(recovery.asking());
}

TEST(Recovery, TheResultIsGivenOnce) {
  const Layout layout = layout_of(1);
  Recovery recovery(layout, kSelf, true);
  recovery.told(layout.nodes[1], false, facts(1, 1, 1));
  EXPECT_TRUE(recovery.told(layout.nodes[2], false, facts(1, 1, 1)));
  EXPECT_FALSE(recovery.told(layout.nodes[2], false, facts(9, 9, 9)));
}

}  // namespace
}  // namespace evercert::store
