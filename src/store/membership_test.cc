// SPDX-License-Identifier: Apache-2.0
// Who serves: changes of the membership record, and what floors refuse.
#include "store/membership.h"

#include <gtest/gtest.h>

#include "store/catalog.h"
#include "store/keys.h"
#include "store/kv/mem_kv.h"
#include "store/membership_board.h"
#include "store/standby_duty.h"

namespace evercert::store {
namespace {

constexpr GroupId kHome{1};
constexpr RegionId kRegion{2};
constexpr std::int64_t kNow = 1'000'000;

v1::ChangeMembership put(v1::RegionState state, std::uint64_t epoch, RegionId region = kRegion) {
  v1::ChangeMembership wanted;
  wanted.set_expected_epoch(epoch);
  wanted.set_region(region.value);
  wanted.set_state(state);
  wanted.set_by("alice");
  return wanted;
}

v1::ChangeMembership attested(v1::RegionState state, std::uint64_t epoch, RegionSet attesters = 0b1010) {
  v1::ChangeMembership wanted = put(state, epoch);
  wanted.set_by(std::string(kAttested));
  wanted.set_attested(true);
  wanted.set_attesters(attesters);
  return wanted;
}

class MembershipTest : public testing::Test {
 protected:
  Result<Changed> apply(const v1::ChangeMembership& wanted, std::int64_t at = kNow) {
    return change(membership, wanted, 3, at);
  }
  Code refusal(const v1::ChangeMembership& wanted) {
    const v1::Membership before = membership;
    const auto changed = apply(wanted);
    EXPECT_EQ(membership.SerializeAsString(), before.SerializeAsString()) << "a refusal changes nothing";
    return changed ? Code::kInternal : changed.error().code;
  }
  v1::Membership membership = first_membership();
};

TEST_F(MembershipTest, EveryChangeIsAnEpochAndComparesWithTheLast) {
  EXPECT_EQ(apply(put(v1::FENCED, 1))->epoch, 2u);
  EXPECT_EQ(member_of(membership, kRegion).state(), v1::FENCED);
  EXPECT_EQ(refusal(put(v1::SERVING, 1)), Code::kConflict) << "of an epoch that is over";
  EXPECT_EQ(apply(put(v1::SERVING, 2))->epoch, 3u);
  EXPECT_EQ(member_of(membership, kRegion).fence_epoch(), 2u) << "the floor of its last fence stays";
}

TEST_F(MembershipTest, ARepeatedChangeIsAnsweredAsTheFirstTime) {
  auto fence = put(v1::FENCED, 1);
  fence.set_request_id("r1");
  ASSERT_TRUE(apply(fence));
  const auto again = apply(fence);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(again->epoch, 2u);
  fence.set_expected_epoch(2);
  EXPECT_TRUE(apply(fence)->repeated) << "also when it is proposed anew under the epoch that it has made";
  EXPECT_EQ(refusal(put(v1::FENCED, 2)), Code::kConflict) << "another request is told that it is so already";
}

TEST_F(MembershipTest, UnknownRegionsAndStatesAreRefused) {
  EXPECT_EQ(refusal(put(v1::FENCED, 1, RegionId{4})), Code::kNotFound);
  EXPECT_EQ(refusal(put(v1::FENCED, 1, RegionId{0})), Code::kNotFound);
  EXPECT_EQ(refusal(put(static_cast<v1::RegionState>(9), 1)), Code::kInvalid);
  EXPECT_EQ(refusal(put(v1::SERVING, 1)), Code::kConflict) << "it serves already";
}

TEST_F(MembershipTest, TheLastRegionThatServesStays) {
  ASSERT_TRUE(apply(put(v1::FENCED, 1, RegionId{1})));
  ASSERT_TRUE(apply(put(v1::DRAINING, 2, RegionId{3})));
  EXPECT_EQ(refusal(put(v1::FENCED, 3)), Code::kConflict);
  EXPECT_EQ(refusal(put(v1::DRAINING, 3)), Code::kConflict);
  EXPECT_EQ(refusal(attested(v1::FENCED, 3)), Code::kConflict);
}

TEST_F(MembershipTest, ALeaderNeedsAMajorityOfRegionsAndTheRegionItselfDoesNotCount) {
  EXPECT_EQ(refusal(attested(v1::FENCED, 1, 0b0010)), Code::kConflict);
  EXPECT_EQ(refusal(attested(v1::FENCED, 1, 0b0110)), Code::kConflict) << "bit 2 is the region's own";
  EXPECT_EQ(refusal(attested(v1::FENCED, 1, 0b110010)), Code::kConflict) << "there are no regions 4 and 5";
  EXPECT_TRUE(apply(attested(v1::FENCED, 1, 0b1010)));
}

TEST_F(MembershipTest, OnlyAnOperatorEndsAnOperatorsFence) {
  ASSERT_TRUE(apply(put(v1::FENCED, 1)));
  EXPECT_EQ(refusal(attested(v1::SERVING, 2)), Code::kConflict);
  EXPECT_EQ(refusal(put(v1::DRAINING, 2)), Code::kConflict) << "not by the back door either";
  EXPECT_TRUE(apply(put(v1::SERVING, 2)));
}

TEST_F(MembershipTest, AnOperatorMayMakeAFenceHisOwn) {
  ASSERT_TRUE(apply(attested(v1::FENCED, 1)));
  ASSERT_TRUE(apply(put(v1::FENCED, 2)));
  EXPECT_EQ(refusal(attested(v1::SERVING, 3)), Code::kConflict);
}

TEST_F(MembershipTest, APersonMayMakeHisOwnWhatAControllerDidAndNotTheOtherWayRound) {
  auto drain = put(v1::DRAINING, 1);
  drain.set_token(7);
  ASSERT_TRUE(apply(drain));
  EXPECT_EQ(member_of(membership, kRegion).ordered_token(), 7);
  drain.set_expected_epoch(2);
  drain.set_token(8);
  EXPECT_EQ(refusal(drain), Code::kConflict) << "it is so already";
  ASSERT_TRUE(apply(put(v1::DRAINING, 2)));
  EXPECT_EQ(member_of(membership, kRegion).ordered_token(), 0);
  drain.set_expected_epoch(3);
  EXPECT_EQ(refusal(drain), Code::kConflict);
}

TEST_F(MembershipTest, AnAttestedFenceDoesNotForgetByWhoseWordTheRegionStood) {
  ASSERT_TRUE(apply(put(v1::DRAINING, 1)));
  for (const auto state : {v1::FENCED, v1::SERVING}) {
    ASSERT_TRUE(apply(attested(state, membership.epoch())));
    EXPECT_EQ(member_of(membership, kRegion).ordered_by(), "alice");
    EXPECT_EQ(member_of(membership, kRegion).ordered_epoch(), 2u);
  }
}

TEST_F(MembershipTest, AttestationsPutARegionBackWhereItWas) {
  ASSERT_TRUE(apply(put(v1::DRAINING, 1)));
  ASSERT_TRUE(apply(attested(v1::FENCED, 2)));
  ASSERT_TRUE(apply(attested(v1::SERVING, 3)));
  EXPECT_EQ(member_of(membership, kRegion).state(), v1::DRAINING);
}

TEST_F(MembershipTest, FencesThatFollowCloselyAreCounted) {
  for (std::uint32_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(apply(attested(v1::FENCED, membership.epoch()), kNow + i * 1000));
    EXPECT_EQ(member_of(membership, kRegion).fences(), i);
    ASSERT_TRUE(apply(attested(v1::SERVING, membership.epoch()), kNow + i * 1000));
  }
  ASSERT_TRUE(apply(attested(v1::FENCED, membership.epoch()), kNow + 3'600'000));
  EXPECT_EQ(member_of(membership, kRegion).fences(), 1u) << "an hour later it is another story";
}

v1::ChangeReplicas voters(std::uint64_t epoch, std::initializer_list<std::uint64_t> nodes) {
  v1::ChangeReplicas wanted;
  wanted.set_expected_epoch(epoch);
  for (const std::uint64_t node : nodes) wanted.add_nodes()->set_node(node);
  wanted.set_by("alice");
  return wanted;
}

TEST_F(MembershipTest, WhoIsToVoteIsChangedAsAnEpoch) {
  EXPECT_TRUE(wanted_voters(membership).empty()) << "whoever votes";
  const auto changed = change(membership, voters(1, {257, 513, 514, 769}), 3, kNow);
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->epoch, 2u);
  EXPECT_EQ(wanted_voters(membership), (std::vector<NodeId>{NodeId{257}, NodeId{513}, NodeId{514}, NodeId{769}}));
  EXPECT_EQ(change(membership, voters(1, {257, 513, 769}), 3, kNow).error().code, Code::kConflict) << "an old epoch";
}

TEST_F(MembershipTest, OnlyNodesOfRegionsVoteEachOfThemOnceAndAtLeastOne) {
  EXPECT_EQ(change(membership, voters(1, {}), 3, kNow).error().code, Code::kInvalid);
  EXPECT_EQ(change(membership, voters(1, {257, 513, 769, 1025}), 3, kNow).error().code, Code::kInvalid);
  EXPECT_EQ(change(membership, voters(1, {257, 512, 769}), 3, kNow).error().code, Code::kInvalid);
  EXPECT_EQ(change(membership, voters(1, {257, 257, 513, 769}), 3, kNow).error().code, Code::kInvalid);
  EXPECT_EQ(change(membership, voters(1, {769, 513, 257}), 3, kNow).error().code, Code::kInvalid);
  EXPECT_EQ(membership.epoch(), 1u);
}

TEST_F(MembershipTest, ARegionLosesItsLastNodeOnlyWhenItDoesNotServe) {
  EXPECT_EQ(change(membership, voters(1, {257, 769}), 3, kNow).error().code, Code::kConflict);
  ASSERT_TRUE(apply(put(v1::DRAINING, 1)));
  EXPECT_TRUE(change(membership, voters(2, {257, 769}), 3, kNow));
}

TEST_F(MembershipTest, AReformationFencesWhoIsLeftOutForAnOperatorToAdmit) {
  v1::Reformation reformation;
  reformation.set_id("769");
  reformation.set_by("alice");
  reformation.set_losses("unknown");
  EXPECT_EQ(record(membership, reformation, 3, kNow).error().code, Code::kInvalid) << "somebody must be left";
  reformation.add_voters(node_id(RegionId{3}, 1).value);
  EXPECT_EQ(record(membership, reformation, 3, kNow)->epoch, 2u);
  EXPECT_TRUE(record(membership, reformation, 3, kNow)->repeated);
  EXPECT_EQ(serving(membership, 3), region_bit(RegionId{3}));
  EXPECT_EQ(member_of(membership, RegionId{1}).fence_epoch(), 2u);
  EXPECT_FALSE(member_of(membership, RegionId{1}).attested());
}

// A removal leaves the voters of the others as they are, in `nodes`.
v1::ChangeMembership removal(std::uint64_t epoch, std::initializer_list<std::uint64_t> nodes,
                             RegionId region = kRegion) {
  v1::ChangeMembership wanted = put(v1::REMOVED, epoch, region);
  for (const std::uint64_t node : nodes) wanted.add_nodes()->set_node(node);
  return wanted;
}

TEST_F(MembershipTest, ARegionThatServesNoMoreIsRemovedWithItsNodesByOneEpoch) {
  EXPECT_EQ(refusal(removal(1, {257, 769})), Code::kConflict) << "it serves: its clients are to go first";
  ASSERT_TRUE(apply(put(v1::DRAINING, 1)));
  ASSERT_EQ(apply(removal(2, {257, 769}))->epoch, 3u);
  EXPECT_EQ(member_of(membership, kRegion).state(), v1::REMOVED);
  EXPECT_EQ(member_of(membership, kRegion).fence_epoch(), 3u) << "what it signed before is refused from then on";
  EXPECT_EQ(member_of(membership, kRegion).stand_in(), 3u) << "and another signs its CRLs";
  EXPECT_EQ(wanted_voters(membership), (std::vector<NodeId>{NodeId{257}, NodeId{769}}));
  EXPECT_EQ(serving(membership, 3), 0b1010u);
  EXPECT_EQ(counted(membership, 3), 0b1010u) << "and no majority of regions is made with it";
}

TEST_F(MembershipTest, ARemovedRegionStaysSo) {
  ASSERT_TRUE(apply(attested(v1::FENCED, 1)));
  ASSERT_TRUE(apply(removal(2, {257, 769})));
  for (const auto state : {v1::SERVING, v1::DRAINING, v1::FENCED, v1::JOINING})
    EXPECT_NE(refusal(put(state, 3)), Code::kInternal) << to_string(state);
  EXPECT_EQ(refusal(removal(3, {257, 769})), Code::kConflict);
  EXPECT_EQ(refusal(attested(v1::SERVING, 3)), Code::kConflict) << "whoever hears it";
  EXPECT_EQ(refusal(attested(v1::FENCED, 3)), Code::kConflict) << "or does not";
  EXPECT_EQ(change(membership, voters(3, {257, 513, 769}), 3, kNow).error().code, Code::kConflict) << "with its nodes";
  v1::Reformation reformation;
  reformation.set_id("769");
  reformation.add_voters(769);
  ASSERT_TRUE(record(membership, reformation, 3, kNow));
  EXPECT_EQ(member_of(membership, kRegion).state(), v1::REMOVED) << "when the quorum is made anew without it, too";
  EXPECT_EQ(member_of(membership, kRegion).epoch(), 3u);
}

TEST_F(MembershipTest, OfTwoRegionsThatAreLeftTheOtherAdmitsWhoWasFencedBeforeAndNeitherFences) {
  auto third = attested(v1::FENCED, 1, 0b0110);
  third.set_region(3);
  ASSERT_TRUE(apply(third));
  ASSERT_TRUE(apply(put(v1::FENCED, 2)));
  ASSERT_TRUE(apply(removal(3, {257, 769})));
  auto admit = attested(v1::SERVING, 4, 0b1000);
  admit.set_region(3);
  EXPECT_EQ(refusal(admit), Code::kConflict) << "its own word";
  admit.set_attesters(0b0100);
  EXPECT_EQ(refusal(admit), Code::kConflict) << "that of the one that was removed";
  admit.set_attesters(0b0010);
  ASSERT_TRUE(apply(admit));
  auto fence = attested(v1::FENCED, 5, 0b0010);
  fence.set_region(3);
  EXPECT_EQ(refusal(fence), Code::kConflict) << "one region of two is no majority";
}

TEST_F(MembershipTest, ARemovalIsRepeatedAsTheFirstTimeAndByNoLeader) {
  ASSERT_TRUE(apply(put(v1::FENCED, 1)));
  auto leaders = removal(2, {257, 769});
  leaders.set_attested(true);
  leaders.set_attesters(0b1010);
  EXPECT_EQ(refusal(leaders), Code::kInvalid);
  auto wanted = removal(2, {257, 769});
  wanted.set_request_id("r1");
  ASSERT_TRUE(apply(wanted));
  wanted.set_expected_epoch(3);
  const auto again = apply(wanted);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->repeated);
  auto fence = put(v1::FENCED, 3);
  fence.set_request_id("r1");
  EXPECT_EQ(refusal(fence), Code::kConflict) << "another wish by the same id is no repetition";
}

TEST_F(MembershipTest, TheIdOfADrainIsNotTheRepetitionOfARemoval) {
  auto drain = put(v1::DRAINING, 1);
  drain.set_request_id("r1");
  ASSERT_TRUE(apply(drain));
  auto wanted = removal(2, {257, 769});
  wanted.set_request_id("r1");
  EXPECT_FALSE(apply(wanted)->repeated);
}

TEST_F(MembershipTest, TheVotersOfTheOtherRegionsGoOnAllOfThemAndInTwoRegions) {
  ASSERT_TRUE(apply(put(v1::FENCED, 1)));
  EXPECT_EQ(refusal(removal(2, {})), Code::kInvalid);
  EXPECT_EQ(refusal(removal(2, {257, 513, 769})), Code::kInvalid) << "its own node";
  EXPECT_EQ(refusal(removal(2, {257})), Code::kConflict) << "the third region serves, and would have none";
  ASSERT_TRUE(apply(put(v1::FENCED, 2, RegionId{3})));
  EXPECT_EQ(refusal(removal(3, {257})), Code::kConflict) << "its loss would be the cluster's";
  ASSERT_TRUE(change(membership, voters(3, {257, 258, 513, 769}), 3, kNow));
  EXPECT_EQ(refusal(removal(4, {257, 769})), Code::kInvalid) << "the second node of the first region";
  EXPECT_TRUE(apply(removal(4, {257, 258, 769})));
  auto fence = put(v1::SERVING, 5, RegionId{3});
  fence.add_nodes()->set_node(257);
  EXPECT_EQ(refusal(fence), Code::kInvalid) << "who votes is no matter of any other state";
}

// ------------------------------------------------------------------------------------------------- state machine

class FloorTest : public testing::Test {
 protected:
  v1::Outcome apply(GroupId group, v1::Command command, EpochFloors* with = nullptr) {
    Transaction state([this](std::string_view key) { return kv.get(std::string(key)); });
    AppliedChanges changes;
    CatalogOptions options{3};
    options.floors = with;
    const auto outcome = apply_command(options, group, command, state, changes);
    EXPECT_TRUE(outcome.has_value());
    EXPECT_TRUE(kv.write(state.take_changes()).has_value());
    return *outcome;
  }
  v1::Outcome issue(char serial, std::uint64_t epoch, EpochFloors* with = nullptr) {
    v1::Command command;
    auto* certificate = command.mutable_issue()->mutable_certificate();
    certificate->set_serial(std::string("\x01") + "serial-number-" + serial);
    certificate->set_der(std::string("certificate ") + serial);
    certificate->set_issuer_region(kRegion.value);
    certificate->set_epoch(epoch);
    return apply(kHome, command, with);
  }
  v1::Outcome floor(std::uint64_t epoch, EpochFloors* with = nullptr) {
    v1::Command command;
    command.mutable_set_epoch_floor()->set_region(kRegion.value);
    command.mutable_set_epoch_floor()->set_epoch(epoch);
    return apply(kHome, command, with);
  }
  v1::Outcome crl(std::uint64_t number, std::uint64_t epoch) {
    v1::Command command;
    auto* list = command.mutable_put_crl()->mutable_crl();
    list->set_issuer_region(kRegion.value);
    list->set_number(number);
    list->set_epoch(epoch);
    return apply(kHome, command);
  }
  v1::Outcome number(std::uint64_t epoch, RegionId signer) {
    v1::Command command;
    command.mutable_allocate_crl_number()->set_issuer_region(kRegion.value);
    command.mutable_allocate_crl_number()->set_epoch(epoch);
    if (signer != kRegion) command.mutable_allocate_crl_number()->set_signer_region(signer.value);
    return apply(kGlobalGroup, command);
  }
  static bool is_fenced(const v1::Outcome& outcome) {
    return outcome.code() == 1 + static_cast<std::uint32_t>(Code::kConflict) &&
           outcome.message().starts_with(kFencedPrefix);
  }
  MemKv kv;
};

TEST_F(FloorTest, WhatWasSignedBeforeTheFenceIsNotStoredAfterIt) {
  EXPECT_EQ(issue('a', 1).code(), 0u);
  EXPECT_EQ(floor(5).number(), 5u);
  EXPECT_TRUE(is_fenced(issue('b', 4)));
  EXPECT_TRUE(issue('a', 1).repeated_request()) << "what was stored in time is answered as it was";
  EXPECT_EQ(issue('c', 5).code(), 0u) << "admitted again, the region signs under a later epoch";
  EXPECT_TRUE(is_fenced(crl(1, 4)));
  EXPECT_EQ(crl(1, 5).code(), 0u);
}

TEST_F(FloorTest, FloorsOnlyRise) {
  floor(5);
  EXPECT_EQ(floor(3).number(), 5u);
  EXPECT_TRUE(is_fenced(issue('a', 4)));
}

TEST_F(FloorTest, MemoryAndStateSayTheSame) {
  EpochFloors floors;
  ASSERT_TRUE(floors.load(kHome, kv).has_value());
  EXPECT_EQ(issue('a', 1, &floors).code(), 0u);
  floor(5, &floors);
  EXPECT_TRUE(is_fenced(issue('b', 4, &floors)));
  EpochFloors later;
  ASSERT_TRUE(later.load(kHome, kv).has_value());
  EXPECT_EQ(later.of(kHome, kRegion), 5u);
  EXPECT_EQ(later.of(kHome, RegionId{1}), 0u);
}

TEST_F(FloorTest, ANumberOfACrlIsNotForAFencedRegion) {
  v1::Command fence;
  *fence.mutable_change_membership() = put(v1::FENCED, 1);
  EXPECT_EQ(apply(kGlobalGroup, fence).number(), 2u);
  EXPECT_TRUE(is_fenced(number(1, kRegion)));
  EXPECT_TRUE(is_fenced(number(2, kRegion))) << "whatever epoch it claims to know";
  EXPECT_TRUE(is_fenced(number(2, RegionId{1}))) << "nor for another region that stands in for nobody";
  EXPECT_TRUE(is_fenced(number(1, RegionId{3}))) << "nor for its stand-in before it knows";
  EXPECT_EQ(number(2, RegionId{3}).number(), 1u);
  v1::Command admit;
  *admit.mutable_change_membership() = put(v1::SERVING, 2);
  EXPECT_EQ(apply(kGlobalGroup, admit).number(), 3u);
  EXPECT_TRUE(is_fenced(number(2, RegionId{3}))) << "the stand-in that has not heard of it yet";
  EXPECT_TRUE(is_fenced(number(3, RegionId{3}))) << "nor the one that has";
  EXPECT_EQ(number(3, kRegion).number(), 2u) << "numbers go on where the stand-in was";
}

// ---------------------------------------------------------------------------------------------------------- board

class FoundingTest : public testing::Test {
 protected:
  static v1::FoundRegion found(std::uint64_t epoch, std::uint32_t region, const std::string& name) {
    v1::FoundRegion wanted;
    wanted.set_expected_epoch(epoch);
    wanted.set_region(region);
    wanted.set_name(name);
    wanted.set_by("alice");
    for (const std::uint64_t node : {257, 513, 769}) wanted.add_voters(node);
    return wanted;
  }
  Code refusal(const v1::FoundRegion& wanted) {
    const v1::Membership before = membership;
    const auto changed = change(membership, wanted, 3, kNow);
    EXPECT_EQ(membership.SerializeAsString(), before.SerializeAsString()) << "a refusal changes nothing";
    return changed ? Code::kInternal : changed.error().code;
  }
  v1::Membership membership = first_membership();
};

TEST_F(FoundingTest, TheNextRegionJoinsAndItsGroupHasTheVotersOfTheOthers) {
  ASSERT_EQ(change(membership, found(1, 4, "south"), 3, kNow)->epoch, 2u);
  EXPECT_EQ(region_count(membership, 3), 4);
  EXPECT_EQ(member_of(membership, RegionId{4}).state(), v1::JOINING);
  ASSERT_NE(founding_of(membership, RegionId{4}), nullptr);
  EXPECT_EQ(founding_of(membership, RegionId{4})->voters_size(), 3);
  EXPECT_EQ(founding_of(membership, RegionId{3}), nullptr) << "one of the beginning";
  EXPECT_EQ(serving(membership, 4), 0b1110u) << "it does not serve yet";
  EXPECT_EQ(counted(membership, 4), 0b1110u) << "and nobody's majority grows by it";
}

TEST_F(FoundingTest, RegionsAreOnlyAppendedEachOnceAndByTheEpochThatIs) {
  EXPECT_EQ(refusal(found(1, 5, "south")), Code::kConflict) << "the next one is the fourth";
  EXPECT_EQ(refusal(found(1, 3, "south")), Code::kConflict);
  EXPECT_EQ(refusal(found(1, 4, "")), Code::kInvalid);
  ASSERT_TRUE(change(membership, found(1, 4, "south"), 3, kNow));
  EXPECT_EQ(refusal(found(1, 5, "west")), Code::kConflict) << "of an epoch that is over";
  EXPECT_EQ(refusal(found(2, 4, "west")), Code::kConflict) << "the fourth has another name";
  EXPECT_EQ(refusal(found(2, 5, "south")), Code::kConflict) << "the name is taken";
  auto again = found(2, 5, "west");
  again.set_request_id("r1");
  ASSERT_TRUE(change(membership, again, 3, kNow));
  EXPECT_TRUE(change(membership, again, 3, kNow)->repeated);
}

TEST_F(FoundingTest, ItsVotersAreThoseThatAreWantedEverywhere) {
  v1::ChangeReplicas nodes;
  nodes.set_expected_epoch(1);
  for (const std::uint64_t node : {257, 514, 769}) nodes.add_nodes()->set_node(node);
  ASSERT_TRUE(change(membership, nodes, 3, kNow));
  EXPECT_EQ(refusal(found(2, 4, "south")), Code::kConflict);
  auto wanted = found(2, 4, "south");
  wanted.set_voters(1, 514);
  EXPECT_TRUE(change(membership, wanted, 3, kNow));
  auto beyond = found(3, 5, "west");
  beyond.set_voters(1, 2000);
  EXPECT_EQ(refusal(beyond), Code::kInvalid) << "no region has that node";
}

TEST_F(FoundingTest, AMajorityOfTheRegionsThatCountAdmitsItAndNobodyElse) {
  ASSERT_TRUE(change(membership, found(1, 4, "south"), 3, kNow));
  auto admit = attested(v1::SERVING, 2, 0b0010);
  admit.set_region(4);
  EXPECT_FALSE(change(membership, admit, 3, kNow)) << "one region of three";
  admit.set_attesters(0b10010);
  EXPECT_FALSE(change(membership, admit, 3, kNow)) << "its own word does not count";
  admit.set_attesters(0b0110);
  ASSERT_TRUE(change(membership, admit, 3, kNow));
  EXPECT_EQ(member_of(membership, RegionId{4}).state(), v1::SERVING);
  EXPECT_EQ(counted(membership, 4), 0b11110u);
  auto fence = attested(v1::FENCED, 3, 0b0110);
  fence.set_region(3);
  EXPECT_FALSE(change(membership, fence, 3, kNow)) << "now two of four are no majority";
}

TEST_F(FoundingTest, AWitnessThatIsAddedJoinsAsOneCountsAndServesNobody) {
  auto witness = found(1, 4, "watch");
  witness.set_witness(true);
  ASSERT_TRUE(change(membership, witness, 3, kNow));
  EXPECT_EQ(witnesses_of(membership), 0b10000u);
  EXPECT_EQ(counted(membership, 4), 0b1110u) << "not before it has joined";
  auto admit = attested(v1::SERVING, 2, 0b0110);
  admit.set_region(4);
  EXPECT_EQ(change(membership, admit, 3, kNow).error().code, Code::kInvalid) << "it never serves";
  EXPECT_EQ(change(membership, put(v1::SERVING, 2, RegionId{4}), 3, kNow).error().code, Code::kConflict);
  EXPECT_EQ(change(membership, put(v1::FENCED, 2, RegionId{4}), 3, kNow).error().code, Code::kConflict);
  admit.set_state(v1::WITNESS);
  ASSERT_TRUE(change(membership, admit, 3, kNow));
  EXPECT_EQ(member_of(membership, RegionId{4}).state(), v1::WITNESS);
  EXPECT_EQ(counted(membership, 4), 0b11110u);
  EXPECT_EQ(serving(membership, 4), 0b1110u);
  admit.set_region(3);
  admit.set_expected_epoch(3);
  EXPECT_FALSE(change(membership, admit, 3, kNow)) << "no other region becomes one";
}

TEST_F(FoundingTest, AWitnessIsRemovedWithoutADrainAndNobodyStandsInForIt) {
  auto witness = found(1, 4, "watch");
  witness.set_witness(true);
  ASSERT_TRUE(change(membership, witness, 3, kNow));
  ASSERT_TRUE(change(membership, put(v1::WITNESS, 2, RegionId{4}), 3, kNow)) << "by an operator's word too";
  auto remove = put(v1::REMOVED, 3, RegionId{4});
  for (const std::uint64_t node : {257, 513, 769}) remove.add_nodes()->set_node(node);
  ASSERT_TRUE(change(membership, remove, 3, kNow));
  EXPECT_EQ(witnesses_of(membership), 0b10000u) << "what it holds is no copy of the records, also later";
  EXPECT_EQ(crl_activation(membership, RegionId{4}).signer, RegionId{0});
  EXPECT_EQ(counted(membership, 4), 0b1110u);
}

TEST(MembershipBoard, ANewRegionDoesNotSignBeforeItIsAddedAndAdmitted) {
  MembershipBoard board(RegionId{4});
  board.set_fresh_until(Instant{1000});
  v1::Membership membership = first_membership();
  board.publish({membership, {}, {}, 3, 3});
  EXPECT_NE(board.signing_epoch(Instant{0}).error().message.find("region add"), std::string::npos);
  v1::FoundRegion wanted;
  wanted.set_expected_epoch(1);
  wanted.set_region(4);
  wanted.set_name("south");
  wanted.add_voters(257);
  ASSERT_TRUE(change(membership, wanted, 3, kNow));
  board.publish({membership, {}, {}, 4, 3});
  EXPECT_NE(board.signing_epoch(Instant{0}).error().message.find("joining"), std::string::npos);
  ASSERT_TRUE(change(membership, put(v1::SERVING, 2, RegionId{4}), 3, kNow));
  board.publish({membership, {}, {}, 4, 3});
  EXPECT_TRUE(board.signing_epoch(Instant{0}));
}

TEST(MembershipBoard, TheKeyIsUsedWhileTheRegionServesAndIsHeard) {
  MembershipBoard board(kRegion);
  EXPECT_FALSE(board.signing_epoch(Instant{0})) << "nothing is known yet";
  board.set_fresh_until(Instant{1000});
  ASSERT_TRUE(board.signing_epoch(Instant{999}));
  EXPECT_EQ(*board.signing_epoch(Instant{999}), Epoch{1});
  EXPECT_FALSE(board.signing_epoch(Instant{1000}));
  v1::Membership membership = first_membership();
  auto fence = put(v1::FENCED, 1);
  fence.set_reason("the HSM was stolen");
  ASSERT_TRUE(change(membership, fence, 3, 1'700'000'000'000));
  board.publish({membership, {}, {}, 3});
  const auto refused = board.signing_epoch(Instant{0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(refused.error().message,
            "this region is fenced since 2023-11-14T22:13:20Z (epoch 2) by alice: the HSM was stolen; it does not sign "
            "until an operator admits it again ('evercert ctl region unfence'); ask another region");
  EXPECT_EQ(board.epoch(), Epoch{2});
}

}  // namespace
}  // namespace evercert::store
