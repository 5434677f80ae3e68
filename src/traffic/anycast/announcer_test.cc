// SPDX-License-Identifier: Apache-2.0
#include "traffic/anycast/announcer.h"

#include <gtest/gtest.h>

namespace evercert::traffic::anycast {
namespace {

class AnnouncerTest : public ::testing::Test {
 protected:
  // So many rounds of checks, one a second.
  bool rounds(int n, const std::string& fault = "", std::size_t of = 0) {
    bool wanted = false;
    for (int i = 0; i < n; ++i) {
      now_ = now_ + 1s;
      for (std::size_t s = 0; s < 2; ++s) announcer_.checked(s, s == of ? fault : "", now_);
      wanted = announcer_.announce(now_);
    }
    return wanted;
  }
  Instant now_{1'000'000};
  Announcer announcer_{{}, {"edge", "dns"}};
};

TEST_F(AnnouncerTest, ASiteIsAnnouncedWhenAllItsServicesHaveBeenReadyForAWhile) {
  EXPECT_FALSE(announcer_.announce(now_));
  EXPECT_FALSE(rounds(2));
  EXPECT_TRUE(rounds(1));
  EXPECT_EQ(announcer_.changes(), 1u);
}

TEST_F(AnnouncerTest, OneServiceThatIsNotReadyKeepsItWithdrawn) { EXPECT_FALSE(rounds(100, "dead", 1)); }

TEST_F(AnnouncerTest, ASingleFailureChangesNothing) {
  ASSERT_TRUE(rounds(3));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(rounds(1, "slow"));
    EXPECT_TRUE(rounds(1));
  }
  EXPECT_EQ(announcer_.changes(), 1u);
}

TEST_F(AnnouncerTest, ItIsWithdrawnAtOnceWhenAServiceFailsAndSaysWhy) {
  ASSERT_TRUE(rounds(3));
  EXPECT_TRUE(rounds(1, "refused", 1));
  EXPECT_FALSE(rounds(1, "refused", 1));
  EXPECT_EQ(announcer_.why(), "dns failed 2 checks in a row, the last: refused");
}

TEST_F(AnnouncerTest, ItComesBackNoSoonerThanTheHoldSays) {
  ASSERT_TRUE(rounds(3));
  ASSERT_FALSE(rounds(2, "dead"));
  EXPECT_FALSE(rounds(29));
  EXPECT_EQ(announcer_.held(now_), 1s);
  EXPECT_TRUE(rounds(1));
}

TEST_F(AnnouncerTest, OneThatFlapsStaysAwayLongerEachTimeUpToABound) {
  ASSERT_TRUE(rounds(3));
  std::vector<int> waits;
  for (int times = 0; times < 7; ++times) {
    ASSERT_FALSE(rounds(2, "dead"));
    int seconds = 1;
    while (!rounds(1)) ++seconds;
    waits.push_back(seconds);
  }
  EXPECT_EQ(waits, (std::vector<int>{30, 60, 120, 240, 300, 300, 300}));
}

TEST_F(AnnouncerTest, WhatLastedIsForgiven) {
  ASSERT_TRUE(rounds(3));
  for (int times = 0; times < 3; ++times) {
    ASSERT_FALSE(rounds(2, "dead"));
    while (!rounds(1)) {
    }
  }
  ASSERT_TRUE(rounds(600));
  ASSERT_FALSE(rounds(2, "dead"));
  EXPECT_FALSE(rounds(29));
  EXPECT_TRUE(rounds(1));
}

// Whatever checks say, in any order: at most one announcement in each hold.
TEST_F(AnnouncerTest, NoCheckerHoweverOddMovesTrafficMoreOftenThanOnceInThirtySeconds) {
  std::uint64_t noise = 1;
  Instant last{0};
  bool before = false;
  for (int i = 0; i < 20'000; ++i) {
    noise = noise * 6364136223846793005u + 1442695040888963407u;
    const bool now_wanted = rounds(1, (noise >> 60) < 5 ? "odd" : "");
    if (now_wanted && !before) {
      EXPECT_TRUE(last == Instant{0} || now_ - last >= 30s);
      last = now_;
    }
    before = now_wanted;
  }
  EXPECT_GT(announcer_.changes(), 10u);
}

}  // namespace
}  // namespace evercert::traffic::anycast
