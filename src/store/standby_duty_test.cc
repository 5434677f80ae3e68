// SPDX-License-Identifier: Apache-2.0
#include "store/standby_duty.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "store/fencing_duty.h"
#include "store/membership.h"

namespace evercert::store {
namespace {

constexpr RegionId kOne{1}, kTwo{2}, kThree{3};

class StandbyDutyTest : public testing::Test {
 protected:
  bool put(RegionId region, v1::RegionState state) {
    v1::ChangeMembership wanted;
    wanted.set_expected_epoch(membership.epoch());
    wanted.set_region(region.value);
    wanted.set_state(state);
    wanted.set_by("alice");
    return change(membership, wanted, regions, 1'000'000).has_value();
  }
  Activation of(RegionId issuer) const { return crl_activation(membership, issuer); }

  std::uint8_t regions = 3;
  v1::Membership membership = first_membership();
};

TEST_F(StandbyDutyTest, ARegionSignsItsOwnListsUntilItIsFencedAndAgainAfterwards) {
  EXPECT_EQ(of(kTwo), (Activation{kTwo, 0}));
  ASSERT_TRUE(put(kTwo, v1::DRAINING));
  EXPECT_EQ(of(kTwo), (Activation{kTwo, 0})) << "drained, it still signs";
  ASSERT_TRUE(put(kTwo, v1::FENCED));
  EXPECT_EQ(of(kTwo), (Activation{kThree, 3}));
  EXPECT_EQ(of(kOne), (Activation{kOne, 0}));
  EXPECT_EQ(of(kThree), (Activation{kThree, 0}));
  ASSERT_TRUE(put(kTwo, v1::SERVING));
  EXPECT_EQ(of(kTwo), (Activation{kTwo, 4})) << "by another activation";
}

TEST_F(StandbyDutyTest, AStandInThatServesNoLongerIsRelievedByOneThatDoes) {
  ASSERT_TRUE(put(kTwo, v1::FENCED));
  ASSERT_TRUE(put(kThree, v1::FENCED));
  EXPECT_EQ(of(kTwo), (Activation{kOne, 3}));
  EXPECT_EQ(of(kThree), (Activation{kOne, 3}));
  ASSERT_TRUE(put(kThree, v1::SERVING));
  EXPECT_EQ(of(kTwo), (Activation{kOne, 3})) << "who stands in goes on: a change of hands is worth nothing";
  ASSERT_TRUE(put(kOne, v1::DRAINING));
  EXPECT_EQ(of(kTwo), (Activation{kThree, 5}));
}

TEST_F(StandbyDutyTest, AFenceThatAnOperatorMakesHisOwnIsAnotherActivation) {
  v1::ChangeMembership attested;
  attested.set_expected_epoch(1);
  attested.set_region(2);
  attested.set_state(v1::FENCED);
  attested.set_attested(true);
  attested.set_attesters(region_bit(kOne) | region_bit(kThree));
  ASSERT_TRUE(change(membership, attested, regions, 0));
  EXPECT_EQ(of(kTwo), (Activation{kThree, 2}));
  ASSERT_TRUE(put(kTwo, v1::FENCED));
  EXPECT_EQ(of(kTwo), (Activation{kThree, 3}));
}

TEST_F(StandbyDutyTest, WhenTheGroupsAreMadeAnewWhoIsLeftSignsForThoseWhoAreLost) {
  v1::Reformation reformation;
  reformation.set_id("1");
  reformation.set_by("alice");
  reformation.add_voters(node_id(kThree, 1).value);
  ASSERT_TRUE(record(membership, reformation, 3, 0));
  EXPECT_EQ(of(kOne), (Activation{kThree, 2}));
  EXPECT_EQ(of(kTwo), (Activation{kThree, 2}));
}

TEST_F(StandbyDutyTest, OfOneRegionNobodyStandsIn) {
  regions = 1;
  EXPECT_FALSE(put(kOne, v1::FENCED)) << "the last one that serves";
  EXPECT_EQ(of(kOne), (Activation{kOne, 0}));
}

// Five regions that come and go in any order: of each issuer, every epoch has one signer, that serves unless it is the
// issuer; another signer comes with a later epoch alone, and the floors follow it.
TEST_F(StandbyDutyTest, EveryEpochHasOneSignerAndAnotherOneMeansAnotherEpoch) {
  regions = 5;
  std::mt19937 random(7);
  std::map<RegionId, Activation> last;
  std::size_t relieved = 0;
  for (int step = 0; step < 5000; ++step) {
    const RegionId region{static_cast<std::uint8_t>(1 + random() % 5)};
    put(region, static_cast<v1::RegionState>(random() % 3));
    for (std::uint8_t r = 1; r <= regions; ++r) {
      const RegionId issuer{r};
      const v1::RegionMember member = member_of(membership, issuer);
      const Activation now = of(issuer);
      if (member.state() != v1::FENCED) {
        EXPECT_EQ(now.signer, issuer);
      } else {
        EXPECT_NE(now.signer, issuer);
        EXPECT_EQ(member_of(membership, now.signer).state(), v1::SERVING);
      }
      Activation& before = last.try_emplace(issuer, Activation{issuer, 0}).first->second;
      if (now.signer != before.signer) {
        EXPECT_EQ(now.epoch, membership.epoch());
        EXPECT_GT(now.epoch, before.epoch);
        EXPECT_EQ(floor_epoch(member), now.epoch);
        if (now.signer != issuer && before.signer != issuer) ++relieved;
      }
      EXPECT_GE(now.epoch, before.epoch);
      before = now;
    }
  }
  EXPECT_GT(relieved, 10u);
}

TEST(StandbyFloor, TheEndOfAFenceIsCarriedOutLikeItsBeginning) {
  Layout layout{{node_id(kOne, 1), node_id(kTwo, 1), node_id(kThree, 1)}, 3};
  FencingDuty duty(layout, kOne, {});
  EpochFloors floors;
  v1::RegionMember member;
  member.set_region(2);
  member.set_fence_epoch(2);
  member.set_crl_epoch(3);
  for (std::uint32_t g = 1; g <= 3; ++g) floors.raise(GroupId{g}, kTwo, 2);
  EXPECT_EQ(duty.missing_floors(member, floors).size(), 3u);
  for (std::uint32_t g = 1; g <= 3; ++g) floors.raise(GroupId{g}, kTwo, 3);
  EXPECT_TRUE(duty.missing_floors(member, floors).empty());
}

}  // namespace
}  // namespace evercert::store
