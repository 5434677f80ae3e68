// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/upstream.h"

#include <gtest/gtest.h>

#include <map>

#include "traffic/policy/subset.h"

namespace evercert::traffic {
namespace {

class UpstreamTest : public ::testing::Test {
 protected:
  void add(std::size_t n, Distance distance = Distance::kZone) {
    for (std::size_t i = 0; i < n; ++i) ASSERT_TRUE(upstream_.add(distance));
  }
  std::uint64_t chance() { return chance_ = mix(chance_ + 0x9e3779b97f4a7c15); }
  std::optional<Pick> pick(bool may_leave = true, bool may_probe = true) {
    Upstream::Tried tried;
    return upstream_.pick(tried, may_leave, may_probe, chance(), now_);
  }
  void call(std::size_t at, Outcome outcome, Duration took = 10ms) {
    const auto attempt = upstream_.started(at, Criticality::kOcsp, now_);
    upstream_.finished(attempt, outcome, now_ + took);
  }
  // Where `n` picks go, each answered at once.
  std::map<std::size_t, int> spread(int n, bool may_leave = true, bool may_probe = true) {
    std::map<std::size_t, int> seen;
    for (int i = 0; i < n; ++i) {
      const auto picked = pick(may_leave, may_probe);
      if (!picked) continue;
      ++seen[picked->endpoint];
      now_ = now_ + 1ms;
      call(picked->endpoint, Outcome::kAnswered);
    }
    return seen;
  }
  void warm() {
    for (std::size_t i = 0; i < upstream_.size(); ++i) call(i, Outcome::kAnswered);
  }
  void break_it(std::size_t at) {
    for (int i = 0; i < 60 && upstream_.breaker(at, now_) == BreakerState::kClosed; ++i) {
      call(at, Outcome::kFailed);
      call(at, Outcome::kFailed);
      call(at, Outcome::kAnswered);
    }
    ASSERT_EQ(upstream_.breaker(at, now_), BreakerState::kOpen);
    ASSERT_TRUE(upstream_.in_rotation(at)) << "two failures in a row are not five";
  }

  Instant now_{1'000'000'000};
  std::uint64_t chance_ = 1;
  static UpstreamOptions options() {
    UpstreamOptions options;
    options.gradient.initial = options.gradient.after_loss = 16;
    return options;
  }
  Upstream upstream_{options(), 5};
};

TEST_F(UpstreamTest, ARequestGoesToEachEndpointOnceAndThenNowhere) {
  add(3);
  warm();
  Upstream::Tried tried;
  std::map<std::size_t, int> seen;
  while (const auto picked = upstream_.pick(tried, true, true, chance(), now_)) ++seen[picked->endpoint];
  EXPECT_EQ(seen, (std::map<std::size_t, int>{{0, 1}, {1, 1}, {2, 1}}));
}

TEST_F(UpstreamTest, OneThatCannotBeReachedIsAvoidedFromTheFirstFailureUntilACheckPasses) {
  add(3);
  warm();
  call(1, Outcome::kUnreachable);
  EXPECT_FALSE(spread(200).contains(1));
  EXPECT_TRUE(upstream_.in_rotation(1)) << "a moment's absence is told to nobody";
  upstream_.checked(1, true, now_);
  pick();
  now_ = now_ + 11s;  // its slow start
  EXPECT_TRUE(spread(200).contains(1));
}

TEST_F(UpstreamTest, TheDeadAreAskedOnlyWhenNobodyElseIsLeft) {
  add(3);
  warm();
  for (const std::size_t at : {0, 1, 2}) call(at, Outcome::kUnreachable);
  const auto picked = pick();
  ASSERT_TRUE(picked);
  EXPECT_EQ(picked->standing, Standing::kLastResort) << "a check may be wrong";
  upstream_.checked(2, true, now_);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(pick()->endpoint, 2u);
    EXPECT_EQ(pick()->standing, Standing::kGood);
  }
}

TEST_F(UpstreamTest, WhenNobodyStandsWellTheNearOnesAreAskedFirst) {
  for (const Distance distance : {Distance::kRemote, Distance::kZone, Distance::kRemote})
    ASSERT_TRUE(upstream_.add(distance));
  for (const std::size_t at : {0, 1, 2}) call(at, Outcome::kUnreachable);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(pick()->endpoint, 1u) << "it may be the one that keeps what has to wait";
}

TEST_F(UpstreamTest, OneWhoseChecksFailedOnceIsAskedAgainAsSoonAsTheyAreGood) {
  add(3);
  warm();
  for (int i = 0; i < 2; ++i) upstream_.checked(1, false, now_);
  EXPECT_FALSE(upstream_.in_rotation(1));
  EXPECT_FALSE(spread(200).contains(1));
  for (int i = 0; i < 3; ++i) upstream_.checked(1, true, now_);
  EXPECT_FALSE(upstream_.in_rotation(1)) << "others are told of a change at most once in a while";
  pick();
  now_ = now_ + 11s;  // its slow start
  EXPECT_TRUE(spread(200).contains(1));
}

TEST_F(UpstreamTest, AnEjectedOneIsBetterThanNobody) {
  add(2);
  warm();
  for (int i = 0; i < 5; ++i) call(0, Outcome::kFailed);
  ASSERT_FALSE(upstream_.in_rotation(0));
  EXPECT_FALSE(spread(100).contains(0));
  call(1, Outcome::kUnreachable);
  const auto picked = pick();
  ASSERT_TRUE(picked);
  EXPECT_EQ(picked->endpoint, 0u);
  EXPECT_EQ(picked->standing, Standing::kPoor);
}

TEST_F(UpstreamTest, OnlyWhatCanBeRepeatedIsAProbe) {
  add(3);
  warm();
  break_it(1);
  now_ = now_ + 2s;
  ASSERT_EQ(upstream_.breaker(1, now_), BreakerState::kHalfOpen);
  for (int i = 0; i < 200; ++i) EXPECT_NE(pick(true, false)->endpoint, 1u);
  int probes = 0;
  for (int i = 0; i < 400; ++i) {
    const auto picked = pick();
    if (picked->standing != Standing::kProbe) continue;
    EXPECT_EQ(picked->endpoint, 1u);
    ++probes;
  }
  EXPECT_NEAR(probes, 50, 30) << "about one in eight";
  spread(200);
  EXPECT_EQ(upstream_.breaker(1, now_), BreakerState::kClosed);
}

TEST_F(UpstreamTest, ChecksCloseABreakerWhereNoRequestMayBeRisked) {
  add(2);
  warm();
  break_it(1);
  now_ = now_ + 2s;
  for (int i = 0; i < 5; ++i) upstream_.checked(1, true, now_);
  EXPECT_EQ(upstream_.breaker(1, now_), BreakerState::kClosed);
}

TEST_F(UpstreamTest, WhoseTimeOutIsOverIsBackWithoutARequest) {
  add(3);
  warm();
  for (int i = 0; i < 5; ++i) call(0, Outcome::kFailed);
  ASSERT_FALSE(upstream_.in_rotation(0));
  now_ = now_ + 31s;
  upstream_.checked(1, true, now_);
  EXPECT_TRUE(upstream_.in_rotation(0));
}

TEST_F(UpstreamTest, WhoReturnsGetsLittleAtFirst) {
  add(4);
  warm();
  call(0, Outcome::kUnreachable);
  pick();
  upstream_.checked(0, true, now_);
  // Everybody busy alike, so that only the weight makes the difference.
  std::vector<Attempt> held;
  for (std::size_t at = 0; at < 4; ++at) {
    for (int i = 0; i < 5; ++i) held.push_back(upstream_.started(at, Criticality::kOcsp, now_));
  }
  const auto share = [&] {
    int of_first = 0;
    for (int i = 0; i < 1000; ++i) of_first += pick()->endpoint == 0 ? 1 : 0;
    return of_first;
  };
  EXPECT_EQ(share(), 0) << "others take it while they have room";
  now_ = now_ + 11s;
  EXPECT_GT(share(), 100);
}

TEST_F(UpstreamTest, StaysInItsZoneUntilThatIsBusyAndInItsRegionUntilThatIsFull) {
  add(1, Distance::kZone);
  add(1, Distance::kRegion);
  add(1, Distance::kRemote);
  warm();
  std::map<std::size_t, int> seen;
  for (int i = 0; i < 36; ++i) {
    const auto picked = pick();
    ++seen[picked->endpoint];
    upstream_.started(picked->endpoint, Criticality::kOcsp, now_);
  }
  EXPECT_EQ(seen[0], 8) << "half of the limit of 16";
  EXPECT_EQ(seen[1], 16);
  EXPECT_EQ(seen[2], 12);
  for (int i = 0; i < 100; ++i) EXPECT_NE(pick(false)->endpoint, 2u) << "a request that came from another region";
}

TEST_F(UpstreamTest, ASlowEndpointIsAskedLess) {
  add(2);
  now_ = now_ + 1s;
  call(0, Outcome::kAnswered, 200ms);
  call(1, Outcome::kAnswered, 10ms);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pick()->endpoint, 1u);
}

TEST_F(UpstreamTest, AHedgeThatWonTellsThatTheOtherIsSlow) {
  add(2);
  call(0, Outcome::kAnswered, 10ms);
  call(1, Outcome::kAnswered, 10ms);
  call(0, Outcome::kDropped, 500ms);
  now_ = now_ + 500ms;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pick()->endpoint, 1u);
}

TEST_F(UpstreamTest, FailingFastIsNotBeingFast) {
  add(2);
  call(0, Outcome::kAnswered, 10ms);
  call(1, Outcome::kAnswered, 10ms);
  for (int i = 0; i < 4; ++i) call(0, Outcome::kFailed, 10us);
  const auto seen = spread(400);
  EXPECT_GT(seen.at(1), 100);
}

TEST_F(UpstreamTest, WhoIsBusyIsNotIll) {
  add(2);
  warm();
  for (int i = 0; i < 1000; ++i) call(0, Outcome::kBusy);
  EXPECT_TRUE(upstream_.in_rotation(0));
  EXPECT_TRUE(upstream_.healthy(0));
  EXPECT_EQ(upstream_.breaker(0, now_), BreakerState::kClosed);
  EXPECT_EQ(upstream_.limit(Distance::kZone), 16) << "one at a time cannot be too many";
  for (int i = 0; i < 20; ++i) upstream_.started(static_cast<std::size_t>(i % 2), Criticality::kOcsp, now_);
  call(0, Outcome::kBusy);
  EXPECT_LT(upstream_.limit(Distance::kZone), 16) << "but less is sent";
}

TEST_F(UpstreamTest, WhoDeclinesForAnotherReasonThanItsLoadLosesNothing) {
  add(2);
  warm();
  for (int i = 0; i < 20; ++i) upstream_.started(static_cast<std::size_t>(i % 2), Criticality::kOcsp, now_);
  for (int i = 0; i < 1000; ++i) call(0, Outcome::kDeclined);
  EXPECT_EQ(upstream_.limit(Distance::kZone), 16);
  EXPECT_TRUE(upstream_.in_rotation(0));
  EXPECT_EQ(upstream_.breaker(0, now_), BreakerState::kClosed);
  EXPECT_EQ(upstream_.in_flight(0), 10);
}

TEST_F(UpstreamTest, ThePreferredIsAskedWhileItStandsWellAndHasRoom) {
  add(3);
  warm();
  const auto preferring = [&](std::size_t which, Upstream::Tried tried = {}) {
    return upstream_.pick(tried, true, true, chance(), now_, which)->endpoint;
  };
  for (int i = 0; i < 50; ++i) EXPECT_EQ(preferring(1), 1u);
  Upstream::Tried tried;
  tried.set(1);
  EXPECT_NE(preferring(1, tried), 1u) << "it has been asked";
  EXPECT_LT(preferring(77), 3u) << "there is no such one";
  std::vector<Attempt> held;
  for (int i = 0; i < 16; ++i) held.push_back(upstream_.started(1, Criticality::kOcsp, now_));
  for (int i = 0; i < 50; ++i) EXPECT_NE(preferring(1), 1u) << "it is full";
  for (const auto& attempt : held) upstream_.finished(attempt, Outcome::kAnswered, now_);
  EXPECT_EQ(preferring(1), 1u);
  call(1, Outcome::kUnreachable);
  for (int i = 0; i < 50; ++i) EXPECT_NE(preferring(1), 1u);
}

TEST_F(UpstreamTest, WhoDrainsGetsNothingWhileAnotherStandsWellAndStartsSlowlyAfterwards) {
  add(2);
  warm();
  upstream_.set_draining(0, true);
  EXPECT_FALSE(spread(200).contains(0));
  call(1, Outcome::kUnreachable);
  const auto picked = pick();
  EXPECT_EQ(picked->endpoint, 0u);
  EXPECT_EQ(picked->standing, Standing::kPoor);
  upstream_.checked(1, true, now_);
  pick();
  now_ = now_ + 20s;
  upstream_.set_draining(0, false);
  pick();
  std::vector<Attempt> held;
  for (std::size_t at = 0; at < 2; ++at) {
    for (int i = 0; i < 5; ++i) held.push_back(upstream_.started(at, Criticality::kOcsp, now_));
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pick()->endpoint, 1u) << "its caches may be cold";
}

TEST_F(UpstreamTest, TheCapacityThatIsGoneIsNotPromisedToAnybody) {
  add(4);
  warm();
  std::vector<Attempt> held;
  for (std::size_t at = 0; at < 4; ++at) {
    for (int i = 0; i < 6; ++i) held.push_back(upstream_.started(at, Criticality::kIssuance, now_));
  }
  EXPECT_TRUE(upstream_.admits(Criticality::kListing, now_)) << "24 of 64";
  call(2, Outcome::kUnreachable);
  call(3, Outcome::kUnreachable);
  for (int i = 0; i < 4; ++i) held.push_back(upstream_.started(0, Criticality::kIssuance, now_));
  EXPECT_FALSE(upstream_.admits(Criticality::kListing, now_)) << "16 of 32";
  EXPECT_TRUE(upstream_.admits(Criticality::kIssuance, now_));
  EXPECT_TRUE(upstream_.admits(Criticality::kOcsp, now_));
}

TEST_F(UpstreamTest, MoreThanItsMostIsRefused) {
  add(Upstream::kMost);
  const auto more = upstream_.add(Distance::kZone);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Code::kInvalid);
}

TEST_F(UpstreamTest, WhatOthersHaveInFlightAtAnEndpointCountsInTheChoiceForASecond) {
  add(2);
  warm();
  const auto first_of = [&](int picks) {
    int first = 0;
    for (int i = 0; i < picks; ++i) first += pick()->endpoint == 0 ? 1 : 0;
    return first;
  };
  EXPECT_NEAR(first_of(400), 200, 80);
  upstream_.told(0, 10, 0ms, now_);
  EXPECT_EQ(first_of(100), 0) << "nothing of ours is in flight there, but much is";
  upstream_.told(1, 50, 0ms, now_);
  EXPECT_EQ(first_of(100), 100) << "more is than may be at the other one";
  now_ = now_ + 1100ms;
  EXPECT_NEAR(first_of(400), 200, 80);
}

TEST_F(UpstreamTest, AnEndpointThatSaysThatItHasAQueueLowersTheLimit) {
  add(1);
  warm();
  std::vector<Attempt> attempts;
  for (int i = 0; i < 16; ++i) attempts.push_back(upstream_.started(0, Criticality::kOcsp, now_));
  const double before = upstream_.limit(Distance::kZone);
  upstream_.told(0, 16, 5ms, now_);
  EXPECT_EQ(upstream_.limit(Distance::kZone), before) << "no queue yet";
  for (int i = 0; i < 5; ++i) {
    now_ = now_ + 200ms;
    upstream_.told(0, 16, 50ms, now_);
  }
  EXPECT_LT(upstream_.limit(Distance::kZone), before);
  for (const auto& attempt : attempts) upstream_.finished(attempt, Outcome::kAnswered, now_);
}

}  // namespace
}  // namespace evercert::traffic
