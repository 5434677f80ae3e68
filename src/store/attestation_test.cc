// SPDX-License-Identifier: Apache-2.0
// Who is gone and who is back: what a node knows of it, what a leader makes of it.
#include "store/attestation.h"

#include <gtest/gtest.h>

#include "store/fencing_duty.h"

namespace evercert::store {
namespace {

constexpr RegionSet kAll = 0b1110;
constexpr RegionId kGone{3};
constexpr FenceTiming kTiming;
Instant at(Duration since) { return Instant{1'000'000} + since; }

TEST(PromiseWatch, SilenceCountsFromTheLastPromiseInAnyGroup) {
  PromiseWatch watch(RegionId{1}, at(0s));
  watch.saw(kAll, kAll, kAll, at(1s));
  watch.saw(kAll, 0b0110, kAll, at(2s));
  EXPECT_EQ(watch.word(kGone, at(3s)).silent, 1s) << "one group that is promised is enough to be heard";
  watch.saw(0b0110, 0b0110, kAll, at(4s));
  watch.saw(0b0110, 0b0110, kAll, at(5s));
  EXPECT_EQ(watch.word(kGone, at(5s)).silent, 3s);
  EXPECT_EQ(watch.word(RegionId{2}, at(5s)).silent, 0s);
  EXPECT_EQ(watch.word(RegionId{1}, at(5s)).silent, 0s) << "of itself nobody says that it is silent";
}

TEST(PromiseWatch, HeldIsInAllGroupsAndWithoutABreak) {
  PromiseWatch watch(RegionId{1}, at(0s));
  watch.saw(kAll, 0b0110, kAll, at(1s));
  watch.saw(kAll, kAll, kAll, at(2s));
  EXPECT_EQ(watch.word(kGone, at(3s)).held, 2s) << "from when it was seen missing last";
  watch.saw(kAll, 0b0110, kAll, at(4s));
  EXPECT_EQ(watch.word(kGone, at(4s)).held, 0s);
}

TEST(PromiseWatch, WhoHearsNobodyKnowsNothingOfTheOthers) {
  PromiseWatch watch(RegionId{1}, at(0s));
  watch.saw(kAll, kAll, kAll, at(1s));
  for (int s = 2; s < 20; ++s) watch.saw(0b0010, 0b0010, kAll, at(s * 1s));
  watch.saw(0b0110, 0b0110, kAll, at(20s));
  EXPECT_LE(watch.word(kGone, at(20s)).silent, 1s) << "the network that was gone was its own";
  EXPECT_EQ(PromiseWatch(RegionId{1}, at(0s)).word(kGone, at(1s)).silent, 1s) << "a start begins anew";
}

class BookTest : public testing::Test {
 protected:
  static Layout layout_of(std::uint8_t regions, std::uint8_t zones) {
    Layout layout;
    layout.regions = regions;
    for (std::uint8_t r = 1; r <= regions; ++r) {
      for (std::uint8_t z = 1; z <= zones; ++z) layout.nodes.push_back(node_id(RegionId{r}, z));
    }
    return layout;
  }
  void silent(AttestationBook& book, NodeId node, Duration silence, Instant sent = at(0s), Epoch epoch = Epoch{1}) {
    book.told(node, sent, epoch, {{kGone, silence, 0s}}, at(0s));
  }
};

TEST_F(BookTest, ARegionSpeaksByAQuorumOfItsNodes) {
  const Layout layout = layout_of(3, 3);
  AttestationBook book(layout, 1s);
  silent(book, node_id(RegionId{1}, 1), 5s);
  EXPECT_EQ(book.silent(kGone, 3s, Epoch{1}, at(0s)), 0u);
  silent(book, node_id(RegionId{1}, 2), 5s);
  EXPECT_EQ(book.silent(kGone, 3s, Epoch{1}, at(0s)), region_bit(RegionId{1}));
  silent(book, node_id(kGone, 1), 5s);
  silent(book, node_id(kGone, 2), 5s);
  EXPECT_EQ(book.silent(kGone, 3s, Epoch{1}, at(0s)), region_bit(RegionId{1})) << "nobody speaks against himself";
}

TEST_F(BookTest, OldWordsAndWordsOfAnotherEpochDoNotCount) {
  const Layout layout = layout_of(3, 1);
  AttestationBook book(layout, 1s);
  const NodeId node = node_id(RegionId{1}, 1);
  silent(book, node, 5s);
  EXPECT_NE(book.silent(kGone, 3s, Epoch{1}, at(1s)), 0u);
  EXPECT_EQ(book.silent(kGone, 3s, Epoch{1}, at(2s)), 0u) << "it would have been said again";
  EXPECT_EQ(book.silent(kGone, 3s, Epoch{2}, at(0s)), 0u);
  book.told(node, at(9s), Epoch{1}, {}, at(0s));
  silent(book, node, 5s, at(8s));
  EXPECT_EQ(book.silent(kGone, 3s, Epoch{1}, at(0s)), 0u) << "a word that was overtaken";
  book.forget(node);
  silent(book, node, 5s, at(1s));
  EXPECT_NE(book.silent(kGone, 3s, Epoch{1}, at(0s)), 0u) << "a node that has started anew counts from zero";
}

// ---------------------------------------------------------------------------------------------- the leader's duty

class DutyTest : public BookTest {
 protected:
  void say(int region, Duration silence, Duration held) {
    book.told(node_id(RegionId{static_cast<std::uint8_t>(region)}, 1), now, Epoch{membership.epoch()},
              {{kGone, silence, held}}, now);
  }
  std::vector<FencingDuty::Proposal> due() { return duty.due(membership, floors, book, now); }
  // Carries out what is due. The change of membership among it.
  std::optional<v1::ChangeMembership> carry_out() {
    std::optional<v1::ChangeMembership> changed;
    for (auto& proposal : due()) {
      if (proposal.command.has_set_epoch_floor()) {
        floors.raise(proposal.group, kGone, proposal.command.set_epoch_floor().epoch());
      } else {
        changed = proposal.command.change_membership();
        EXPECT_TRUE(change(membership, *changed, 3, now.us / 1000).has_value());
      }
    }
    return changed;
  }
  void pass(Duration time) { now = now + time; }

  Layout layout = layout_of(3, 1);
  v1::Membership membership = first_membership();
  EpochFloors floors;
  AttestationBook book{layout, 1s};
  FencingDuty duty{layout, RegionId{1}, kTiming};
  Instant now = at(0s);
};

TEST_F(DutyTest, AMajorityFencesAndTheFenceGoesToEveryHomeGroup) {
  say(1, 5s, 0s);
  EXPECT_TRUE(due().empty()) << "one of three regions";
  say(2, 2s, 0s);
  EXPECT_TRUE(due().empty()) << "the second has not waited long enough";
  say(2, 3s, 0s);
  const auto fence = carry_out();
  ASSERT_TRUE(fence);
  EXPECT_EQ(fence->state(), v1::FENCED);
  EXPECT_EQ(fence->attesters(), 0b0110u);
  pass(2s);
  EXPECT_EQ(due().size(), 3u) << "a floor in each home group";
  EXPECT_TRUE(due().empty()) << "not again at once";
  pass(2s);
  EXPECT_FALSE(carry_out());
  pass(2s);
  EXPECT_TRUE(due().empty()) << "until the state shows it done";
}

TEST_F(DutyTest, WhoIsHeardAgainForLongEnoughIsAdmittedLaterAfterEachFence) {
  for (const Duration patience : {2s, 4s, 8s, 16s, 16s}) {
    say(1, 5s, 0s);
    say(2, 5s, 0s);
    ASSERT_TRUE(carry_out());
    pass(2s);
    say(1, 0s, 60s);
    say(2, 0s, 60s);
    EXPECT_FALSE(carry_out()) << "not before the fence is carried out; the floors are proposed now";
    pass(2s);
    say(1, 0s, patience - 1ms);
    say(2, 0s, patience);
    EXPECT_FALSE(carry_out());
    say(1, 0s, patience);
    const auto admitted = carry_out();
    ASSERT_TRUE(admitted) << patience.count();
    EXPECT_EQ(admitted->state(), v1::SERVING);
    pass(2s);
  }
}

TEST_F(DutyTest, AnOperatorsFenceIsCarriedOutAndLeftAlone) {
  v1::ChangeMembership fence;
  fence.set_expected_epoch(1);
  fence.set_region(kGone.value);
  fence.set_state(v1::FENCED);
  ASSERT_TRUE(change(membership, fence, 3, 0));
  EXPECT_EQ(due().size(), 3u);
  pass(2s);
  carry_out();
  say(1, 0s, 3600s);
  say(2, 0s, 3600s);
  pass(500ms);
  EXPECT_TRUE(due().empty());
}

}  // namespace
}  // namespace evercert::store
