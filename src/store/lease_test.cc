// SPDX-License-Identifier: Apache-2.0
#include "store/lease.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

constexpr RegionId kEast{1}, kWest{2}, kCentral{3};
constexpr LeaseTiming kTiming{1500ms, 300ms, 400ms, 0.03};
constexpr Instant kStart{10'000'000};

Layout layout_of(std::uint8_t zones, std::uint8_t regions = 3) {
  Layout layout;
  layout.regions = regions;
  for (std::uint8_t r = 1; r <= regions; ++r) {
    for (std::uint8_t z = 1; z <= zones; ++z) layout.nodes.push_back(node_id(RegionId{r}, z));
  }
  return layout;
}
NodeId node(RegionId region, std::uint8_t zone = 1) { return node_id(region, zone); }
Position at(std::uint64_t index, std::uint64_t term = 1) { return {Term{term}, LogIndex{index}}; }
RegionSet set(std::initializer_list<RegionId> regions) {
  RegionSet all = 0;
  for (const RegionId region : regions) all |= region_bit(region);
  return all;
}

// ------------------------------------------------------------------------------------------------- promises given

class PromiseBookTest : public testing::Test {
 protected:
  Layout layout = layout_of(1);
  PromiseBook book{layout, node(kEast), kTiming, kStart, at(7)};
  const Instant lapsed = kStart + kTiming.ttl;  // nothing of the time after the start is left
};

TEST_F(PromiseBookTest, AfterAStartEveryRegionIsNamedForOneTtlBecauseEarlierPromisesAreForgotten) {
  RegionSet every = 0;  // also one that was added in the life before and is unknown in this one
  for (std::uint8_t r = 1; r <= kMostRegions; ++r) every |= region_bit(RegionId{r});
  EXPECT_EQ(book.promised(kStart), every);
  EXPECT_EQ(book.promised(lapsed - 1us), every);
  EXPECT_EQ(book.promised(lapsed), set({kEast}));
}

TEST_F(PromiseBookTest, ThePromisedRegionIsNamedUntilTheGiversClockShowsItsEnd) {
  ASSERT_TRUE(book.request(kWest, at(7), lapsed));
  EXPECT_EQ(book.promised(lapsed), set({kEast, kWest}));
  EXPECT_EQ(book.promised(lapsed + kTiming.ttl - 1us), set({kEast, kWest}));
  EXPECT_EQ(book.promised(lapsed + kTiming.ttl), set({kEast}));
}

TEST_F(PromiseBookTest, TheFloorIsTheEndOfTheLogWhenTheNamingBegan) {
  book.log_at(at(20), lapsed);
  EXPECT_EQ(book.request(kWest, at(20), lapsed), at(20));
}

TEST_F(PromiseBookTest, APromiseThatStandsIsProlongedWithItsOldFloor) {
  ASSERT_EQ(book.request(kWest, at(7), lapsed), at(7));
  book.log_at(at(50), lapsed + 1s);
  EXPECT_EQ(book.request(kWest, at(7), lapsed + 1s), at(7));
  EXPECT_EQ(book.promised(lapsed + 1s + kTiming.ttl - 1us), set({kEast, kWest}));
}

TEST_F(PromiseBookTest, APromiseThatLapsedIsGivenAnewWithANewFloor) {
  ASSERT_EQ(book.request(kWest, at(7), lapsed), at(7));
  book.log_at(at(50), lapsed + 1s);
  // Between the two promises entries were acknowledged that do not name the region.
  EXPECT_EQ(book.request(kWest, at(50), lapsed + kTiming.ttl), at(50));
}

TEST_F(PromiseBookTest, ARegionMayLagByWhatIsInFlightButNotByMoreThanNearLag) {
  book.log_at(at(10), lapsed);
  book.log_at(at(11), lapsed + 300ms);
  // 10 was the end until 300 ms ago: within near_lag. 7 was the end until 600 ms ago.
  EXPECT_TRUE(book.request(kWest, at(10), lapsed + 600ms));
  EXPECT_FALSE(book.request(kWest, at(7), lapsed + 600ms));
}

TEST_F(PromiseBookTest, ARegionThatLagsIsNotProlongedEither) {
  ASSERT_TRUE(book.request(kWest, at(7), lapsed));
  book.log_at(at(8), lapsed + 100ms);
  EXPECT_FALSE(book.request(kWest, at(7), lapsed + 1s));
  EXPECT_EQ(book.promised(lapsed + kTiming.ttl), set({kEast})) << "it drops out of the way of writes";
}

// What was acknowledged in the forgotten life named nobody that this life knows of.
TEST_F(PromiseBookTest, AfterALostLogNoPromiseCountsBelowWhereItWasFetchedAgain) {
  PromiseBook empty(layout, node(kEast), kTiming, kStart, Position{});
  empty.recovered(at(70), kStart + 100ms);
  EXPECT_EQ(empty.request(kWest, at(70), kStart + 100ms), at(70));
  empty.log_at(at(80), kStart + 200ms);
  EXPECT_EQ(empty.request(kWest, at(70), kStart + 300ms), at(70));
}

TEST_F(PromiseBookTest, LogsAreComparedByTermFirst) {
  book.log_at(at(8, 2), lapsed);
  EXPECT_FALSE(book.request(kWest, at(99, 1), lapsed + 1s)) << "longer, but of an older term";
  EXPECT_TRUE(book.request(kWest, at(8, 2), lapsed + 1s));
}

TEST_F(PromiseBookTest, ALongRunOfChangesNeitherForgetsNorMovesTheBorderOfNearLagByMoreThanASixteenth) {
  for (int ms = 0; ms <= 2000; ++ms) book.log_at(at(1000 + static_cast<std::uint64_t>(ms)), lapsed + ms * 1ms);
  const Instant now = lapsed + 2s;
  EXPECT_TRUE(book.request(kWest, at(1000 + 1600), now));
  EXPECT_FALSE(book.request(kWest, at(1000 + 1600 - 400 / 16 - 1), now));
}

// -------------------------------------------------------------------------------------------------- promises held

Instant counted(Instant sent) {
  return sent + Duration{static_cast<std::int64_t>(static_cast<double>(kTiming.ttl.count()) * 0.97)};
}

TEST(LeaseHolder, PromisesOfAMajorityMakeALease) {
  const Layout layout = layout_of(1);
  LeaseHolder holder(layout, node(kEast), kTiming);
  EXPECT_FALSE(holder.leased(kStart));
  holder.granted(node(kWest), at(0, 0), kStart, kStart + 64ms);
  EXPECT_TRUE(holder.leased(kStart + 64ms)) << "own replica and one more are two of three";
}

TEST(LeaseHolder, APromiseIsCountedFromWhenItWasAskedForLessTheDriftOfTheClocks) {
  const Layout layout = layout_of(1);
  LeaseHolder holder(layout, node(kEast), kTiming);
  holder.granted(node(kWest), at(0, 0), kStart, kStart + 400ms);
  EXPECT_EQ(holder.leased_until(), counted(kStart));
}

TEST(LeaseHolder, APromiseCountsOnceTheRegionHasReachedItsFloor) {
  const Layout layout = layout_of(1);
  LeaseHolder holder(layout, node(kEast), kTiming);
  holder.own_log_at(at(9));
  holder.granted(node(kWest), at(10), kStart, kStart);
  EXPECT_FALSE(holder.leased(kStart));
  holder.own_log_at(at(10));
  EXPECT_TRUE(holder.leased(kStart));
  holder.granted(node(kCentral), at(3, 2), kStart, kStart);
  EXPECT_EQ(holder.leased_until(), counted(kStart)) << "a floor of a later term is out of reach, the other one stands";
}

TEST(LeaseHolder, ALateAnswerToAnEarlierRequestShortensNothing) {
  const Layout layout = layout_of(1);
  LeaseHolder holder(layout, node(kEast), kTiming);
  holder.granted(node(kWest), at(0, 0), kStart + 300ms, kStart + 400ms);
  holder.granted(node(kWest), at(0, 0), kStart, kStart + 500ms);
  EXPECT_EQ(holder.leased_until(), counted(kStart + 300ms));
}

TEST(LeaseHolder, AnAnswerToARequestOfAnEarlierLifeIsNotCounted) {
  const Layout layout = layout_of(1);
  LeaseHolder holder(layout, node(kEast), kTiming);
  holder.granted(node(kWest), at(0, 0), kStart + 1us, kStart);
  EXPECT_FALSE(holder.leased(kStart));
}

TEST(LeaseHolder, TheLeaseLastsAsLongAsAMajorityOfPromisesDoes) {
  const Layout layout = layout_of(3);  // nine replicas: five are a majority, three of them are the region's own
  LeaseHolder holder(layout, node(kEast), kTiming);
  holder.granted(node(kWest, 1), at(0, 0), kStart, kStart);
  EXPECT_FALSE(holder.leased(kStart));
  holder.granted(node(kWest, 2), at(0, 0), kStart + 200ms, kStart + 200ms);
  EXPECT_EQ(holder.leased_until(), counted(kStart));
  holder.granted(node(kCentral, 1), at(0, 0), kStart + 100ms, kStart + 200ms);
  EXPECT_EQ(holder.leased_until(), counted(kStart + 100ms)) << "the second longest of the two that are needed";
}

TEST(LeaseHolder, PromisesOfTheOwnRegionsReplicasAreNotCountedTwice) {
  const Layout layout = layout_of(3);
  LeaseHolder holder(layout, node(kEast), kTiming);
  holder.granted(node(kEast, 2), at(0, 0), kStart, kStart);
  holder.granted(node(kWest, 1), at(0, 0), kStart, kStart);
  EXPECT_FALSE(holder.leased(kStart));
}

TEST(LeaseHolder, WithSeveralZonesAQuorumOfTheRegionMustHaveReachedTheFloor) {
  const Layout layout = layout_of(3);
  LeaseHolder holder(layout, node(kEast), kTiming);
  holder.own_log_at(at(10));
  holder.granted(node(kWest, 1), at(10), kStart, kStart);
  holder.granted(node(kWest, 2), at(10), kStart, kStart);
  EXPECT_FALSE(holder.leased(kStart)) << "one of three replicas";
  holder.neighbour_at(node(kEast, 3), at(10));
  EXPECT_TRUE(holder.leased(kStart)) << "two of three";
  holder.neighbour_at(node(kEast, 3), at(4));
  EXPECT_TRUE(holder.leased(kStart)) << "what a log has reached it keeps: an older message tells nothing";
  holder.forget_neighbour(node(kEast, 3));
  EXPECT_FALSE(holder.leased(kStart)) << "started again, it may have lost its log";
}

TEST(LeaseHolder, ASingleRegionNeedsNobodysPromise) {
  const Layout layout = layout_of(3, 1);
  LeaseHolder holder(layout, node(kEast), kTiming);
  EXPECT_TRUE(holder.leased(kStart));
}

// ------------------------------------------------------------------------------------------------- acknowledgements

class AckBookTest : public testing::Test {
 protected:
  void acknowledged(RegionId region, std::uint64_t index, RegionSet named, std::uint8_t zone = 1) {
    book.acknowledged(node(region, zone), LogIndex{index}, named);
  }
  std::uint64_t answerable(std::uint64_t committed = 1000) const { return book.answerable(LogIndex{committed}).value; }
  const RegionSet all = set({kEast, kWest, kCentral});
  Layout layout = layout_of(1);
  AckBook book{layout};
};

TEST_F(AckBookTest, WhileAllRegionsAreNamedAllMustHaveTheEntry) {
  acknowledged(kEast, 5, all);
  acknowledged(kWest, 5, all);
  EXPECT_EQ(answerable(), 0u);
  acknowledged(kCentral, 5, all);
  EXPECT_EQ(answerable(), 5u);
}

TEST_F(AckBookTest, ARegionThatNobodyNamesIsOutOfTheWay) {
  acknowledged(kEast, 5, set({kEast, kWest}));
  acknowledged(kWest, 5, set({kEast, kWest}));
  EXPECT_EQ(answerable(), 5u);
}

TEST_F(AckBookTest, OneMemberOfTheMajorityThatNamesARegionIsEnoughToWaitForIt) {
  acknowledged(kEast, 5, set({kEast, kWest}));
  acknowledged(kWest, 5, all);
  EXPECT_EQ(answerable(), 0u);
  acknowledged(kWest, 5, set({kEast, kWest}));
  EXPECT_EQ(answerable(), 5u) << "the same index with fresh promises";
}

TEST_F(AckBookTest, AMajorityWithoutTheMemberThatNamesTheRegionWillDo) {
  layout = layout_of(1, 5);
  AckBook five(layout);
  for (std::uint8_t r = 1; r <= 3; ++r)
    five.acknowledged(node(RegionId{r}), LogIndex{5}, set({kEast, kWest, kCentral}));
  five.acknowledged(node(RegionId{4}), LogIndex{5}, layout.all_regions());
  EXPECT_EQ(five.answerable(LogIndex{5}), LogIndex{5});
}

TEST_F(AckBookTest, NothingIsAnsweredBeyondWhatRaftHasCommitted) {
  for (const RegionId region : {kEast, kWest, kCentral}) acknowledged(region, 9, all);
  EXPECT_EQ(answerable(8), 8u);
}

TEST_F(AckBookTest, TheHighestIndexThatAMajorityAndEveryNamedRegionHaveReached) {
  acknowledged(kEast, 9, all);
  acknowledged(kWest, 7, all);
  acknowledged(kCentral, 8, all);
  EXPECT_EQ(answerable(), 7u);
}

TEST_F(AckBookTest, AnOlderAcknowledgementThatArrivesLateTakesNothingBack) {
  for (const RegionId region : {kEast, kWest, kCentral}) acknowledged(region, 9, all);
  acknowledged(kWest, 4, 0);
  EXPECT_EQ(answerable(), 9u);
}

TEST_F(AckBookTest, ANewTermBeginsWithNothing) {
  for (const RegionId region : {kEast, kWest, kCentral}) acknowledged(region, 9, all);
  book.clear();
  EXPECT_EQ(answerable(), 0u);
}

TEST_F(AckBookTest, WithSeveralZonesAQuorumOfTheNamedRegionIsEnough) {
  layout = layout_of(3);
  AckBook nine(layout);
  const auto acknowledge = [&](RegionId region, std::uint8_t zone) {
    nine.acknowledged(node(region, zone), LogIndex{5}, all);
  };
  for (std::uint8_t zone : {1, 2}) acknowledge(kEast, zone);
  for (std::uint8_t zone : {1, 2}) acknowledge(kWest, zone);
  acknowledge(kCentral, 1);
  EXPECT_EQ(nine.answerable(LogIndex{5}), LogIndex{0}) << "a majority, but one of three in the third region";
  acknowledge(kCentral, 3);
  EXPECT_EQ(nine.answerable(LogIndex{5}), LogIndex{5}) << "one slow node in each region holds up nobody";
}

// Each of two nodes is in every quorum of their region, so no reader misses what one of them has.
TEST_F(AckBookTest, WhereARegionHasTwoVotersTheLossOfOneHoldsUpNobody) {
  layout = layout_of(1);
  layout.nodes.insert(layout.nodes.begin() + 2, node(kWest, 2));
  AckBook four(layout);
  four.acknowledged(node(kEast), LogIndex{5}, all);
  four.acknowledged(node(kCentral), LogIndex{5}, all);
  EXPECT_EQ(four.answerable(LogIndex{5}), LogIndex{0}) << "no majority, and nobody in the second region";
  four.acknowledged(node(kWest, 2), LogIndex{5}, all);
  EXPECT_EQ(four.answerable(LogIndex{5}), LogIndex{5});
}

}  // namespace
}  // namespace evercert::store
