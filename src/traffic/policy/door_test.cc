// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/door.h"

#include <gtest/gtest.h>

namespace evercert::traffic {
namespace {

using enum Criticality;

class DoorTest : public ::testing::Test {
 protected:
  // So many places for all, of which the last two are not for listings.
  auto admits() {
    return [this](Criticality of, double coming) { return busy_ + coming < (of == kListing ? room_ - 2 : room_); };
  }
  Door::Arrival arrives(Criticality of) { return door_.arrives(of, now_, admits()); }
  Door::Turn turn() {
    Door::Turn out;
    door_.turn(now_, admits(), out);
    return out;
  }
  Instant now_{1'000'000};
  double room_ = 0, busy_ = 0;
  Door door_{DoorOptions{.most = 4, .patience = {100ms, 100ms, 100ms, 100ms, 100ms, 75ms, 50ms, 25ms}}};
};

TEST_F(DoorTest, WhoFindsRoomGoesInWithoutATicket) {
  room_ = 1;
  EXPECT_EQ(arrives(kIssuance).entry, Entry::kIn);
  busy_ = 1;
  EXPECT_EQ(arrives(kIssuance).entry, Entry::kWaits);
}

TEST_F(DoorTest, TheMoreImportantGoFirstAndWithinAClassTheOldest) {
  const auto listing = arrives(kListing), first = arrives(kIssuance), second = arrives(kIssuance),
             ocsp = arrives(kOcsp);
  room_ = 6;
  const auto went = turn();
  EXPECT_EQ(went.in, (std::vector{ocsp.ticket, first.ticket, second.ticket, listing.ticket}));
  EXPECT_TRUE(went.refused.empty());
}

TEST_F(DoorTest, NobodyOvertakesWhoWaitsButWhoIsWorthMore) {
  ASSERT_EQ(arrives(kIssuance).entry, Entry::kWaits);
  room_ = 1;  // and no turn yet
  EXPECT_EQ(arrives(kIssuance).entry, Entry::kWaits);
  EXPECT_EQ(arrives(kListing).entry, Entry::kWaits);
  EXPECT_EQ(arrives(kOcsp).entry, Entry::kIn);
}

TEST_F(DoorTest, ThoseWhoAreOnTheirWayInTakeUpTheirPlaces) {
  arrives(kIssuance);
  arrives(kIssuance);
  room_ = 1;
  EXPECT_EQ(turn().in.size(), 1u);
  EXPECT_EQ(turn().in.size(), 0u) << "the place is taken, though nobody sits on it yet";
  door_.begun();
  busy_ = 1;
  EXPECT_EQ(turn().in.size(), 0u);
  busy_ = 0;
  EXPECT_EQ(turn().in.size(), 1u);
}

TEST_F(DoorTest, NobodyWaitsLongerThanItsClassMay) {
  const auto listing = arrives(kListing), issuance = arrives(kIssuance);
  now_ = now_ + 50ms;
  EXPECT_EQ(turn().refused, std::vector{listing.ticket});
  now_ = now_ + 24ms;
  EXPECT_TRUE(turn().refused.empty());
  now_ = now_ + 1ms;
  EXPECT_EQ(turn().refused, std::vector{issuance.ticket});
  EXPECT_EQ(door_.waiting(), 0u);
}

TEST_F(DoorTest, InAQueueThatStandsTheNewestIsServed) {
  const auto old = arrives(kIssuance);
  now_ = now_ + 38ms;
  const auto young = arrives(kIssuance);
  room_ = 1;
  EXPECT_EQ(turn().in, std::vector{young.ticket});
  now_ = now_ + 37ms;
  EXPECT_EQ(turn().refused, std::vector{old.ticket});
}

TEST_F(DoorTest, WhenItIsFullTheNewestOfTheLeastGivesWayAndElseWhoCame) {
  arrives(kListing);
  const auto last = arrives(kListing);
  arrives(kIssuance);
  arrives(kIssuance);
  EXPECT_EQ(arrives(kFutile).entry, Entry::kRefused);
  EXPECT_EQ(arrives(kListing).entry, Entry::kRefused) << "its own class does not give way";
  const auto ocsp = arrives(kOcsp);
  EXPECT_EQ(ocsp.entry, Entry::kWaits);
  EXPECT_EQ(ocsp.displaced, last.ticket);
  EXPECT_EQ(door_.waiting(), 4u);
}

}  // namespace
}  // namespace evercert::traffic
