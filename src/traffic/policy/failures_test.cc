// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "traffic/policy/bulkhead.h"
#include "traffic/policy/circuit_breaker.h"
#include "traffic/policy/outlier_ejection.h"

namespace evercert::traffic {
namespace {

constexpr Instant kStart{1'000'000'000};

class BreakerTest : public ::testing::Test {
 protected:
  void call(CallVerdict verdict, Duration took = 1ms) {
    const auto ticket = breaker_.started(now_);
    breaker_.finished(ticket, verdict, took, now_);
  }
  void break_it() {
    for (int i = 0; i < 20; ++i) call(CallVerdict::kFailed);
    ASSERT_EQ(breaker_.state(now_), BreakerState::kOpen);
  }
  // The longest that it may be open is `length` and a quarter.
  void pass(Duration length) { now_ = now_ + length + length / 4; }

  Instant now_ = kStart;
  CircuitBreaker breaker_{BreakerOptions{}, 7};
};

TEST_F(BreakerTest, OpensOnAShareOfManyCallsAndNotOnFew) {
  for (int i = 0; i < 19; ++i) call(CallVerdict::kFailed);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kClosed) << "fewer than it judges by";
  call(CallVerdict::kFailed);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kOpen);
  EXPECT_FALSE(breaker_.admits(now_));
}

TEST_F(BreakerTest, SingleFailuresAmongManyGoodCallsNeverOpenIt) {
  for (int i = 0; i < 100'000; ++i) {
    call(i % 5 < 2 ? CallVerdict::kFailed : CallVerdict::kGood);
    now_ = now_ + 1ms;
  }
  EXPECT_EQ(breaker_.opened(), 0u) << "two of five are less than a half";
}

TEST_F(BreakerTest, WhatIsOlderThanItsWindowIsForgotten) {
  for (int i = 0; i < 19; ++i) call(CallVerdict::kFailed);
  now_ = now_ + 11s;
  call(CallVerdict::kFailed);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kClosed);
}

TEST_F(BreakerTest, OpensWhenMostCallsAreTooSlow) {
  for (int i = 0; i < 15; ++i) call(CallVerdict::kGood, 3s);
  for (int i = 0; i < 4; ++i) call(CallVerdict::kGood, 10ms);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kClosed);
  for (int i = 0; i < 10; ++i) call(CallVerdict::kGood, 3s);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kOpen);
}

TEST_F(BreakerTest, CallsThatSayNothingCountForNothing) {
  for (int i = 0; i < 1000; ++i) call(CallVerdict::kNone, 10s);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kClosed);
}

TEST_F(BreakerTest, HalfOpenLetsAFewProbesThroughAndClosesAfterEnoughGoodOnes) {
  break_it();
  pass(1s);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kHalfOpen);
  std::vector<CircuitBreaker::Ticket> probes;
  while (breaker_.admits(now_)) probes.push_back(breaker_.started(now_));
  EXPECT_EQ(probes.size(), 3u);
  for (const auto probe : probes) breaker_.finished(probe, CallVerdict::kGood, 1ms, now_);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kHalfOpen);
  call(CallVerdict::kGood);
  call(CallVerdict::kGood);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kClosed);
}

TEST_F(BreakerTest, OneBadProbeOpensItForTwiceAsLong) {
  break_it();
  pass(1s);
  call(CallVerdict::kFailed);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kOpen);
  EXPECT_EQ(breaker_.state(now_ + 1999ms), BreakerState::kOpen);
  EXPECT_EQ(breaker_.state(now_ + 2500ms), BreakerState::kHalfOpen);
}

TEST_F(BreakerTest, NoOpeningLastsLongerThanItsMost) {
  break_it();
  for (int i = 0; i < 40; ++i) {
    pass(30s);
    ASSERT_EQ(breaker_.state(now_), BreakerState::kHalfOpen);
    call(CallVerdict::kFailed);
  }
  EXPECT_EQ(breaker_.state(now_ + 29s), BreakerState::kOpen);
  EXPECT_EQ(breaker_.state(now_ + 37'500ms), BreakerState::kHalfOpen);
}

TEST_F(BreakerTest, AProbeThatIsGivenUpFreesItsPlace) {
  break_it();
  pass(1s);
  for (int i = 0; i < 10; ++i) call(CallVerdict::kNone);
  EXPECT_TRUE(breaker_.admits(now_));
  EXPECT_EQ(breaker_.state(now_), BreakerState::kHalfOpen);
}

TEST_F(BreakerTest, AnswersToWhatWasSentBeforeDoNotCount) {
  const auto early = breaker_.started(now_);
  std::vector<CircuitBreaker::Ticket> more;
  for (int i = 0; i < 10; ++i) more.push_back(breaker_.started(now_));
  break_it();
  pass(1s);
  for (const auto ticket : more) breaker_.finished(ticket, CallVerdict::kGood, 1ms, now_);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kHalfOpen) << "they do not close it";
  breaker_.finished(early, CallVerdict::kFailed, 5s, now_);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kHalfOpen) << "nor open it again";
}

TEST_F(BreakerTest, WhoIsAskedAsALastResortAndAnswersNeedNotWait) {
  break_it();
  for (int i = 0; i < 4; ++i) call(CallVerdict::kGood);
  call(CallVerdict::kFailed);
  for (int i = 0; i < 4; ++i) call(CallVerdict::kGood);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kOpen) << "five in a row";
  call(CallVerdict::kGood);
  EXPECT_EQ(breaker_.state(now_), BreakerState::kHalfOpen);
}

class EjectionTest : public ::testing::Test {
 protected:
  void add(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) ejection_.add();
    ejection_.tick(now_);
  }
  void fail(std::size_t at, int times = 5) {
    for (int i = 0; i < times; ++i) ejection_.failed(at, now_);
  }
  void pass(Duration time) {
    now_ = now_ + time;
    ejection_.tick(now_);
  }
  Instant now_ = kStart;
  OutlierEjection ejection_;
};

TEST_F(EjectionTest, FailuresInARowTakeItOutAndASuccessBetweenDoesNot) {
  add(4);
  fail(0, 4);
  ejection_.succeeded(0);
  fail(0, 4);
  EXPECT_FALSE(ejection_.ejected(0));
  fail(0, 1);
  EXPECT_TRUE(ejection_.ejected(0));
  EXPECT_EQ(ejection_.in(), 3u);
}

TEST_F(EjectionTest, NeverFewerStayInThanTheFloor) {
  for (std::size_t n = 1; n <= 9; ++n) {
    OutlierEjection ejection;
    for (std::size_t i = 0; i < n; ++i) ejection.add();
    for (int round = 0; round < 50; ++round) {
      const Instant now = kStart + round * 10s;
      ejection.tick(now);
      for (std::size_t i = 0; i < n; ++i) {
        for (int k = 0; k < 7; ++k) ejection.failed(i, now);
        ejection.out_of_reach(i, true, true, now);
        EXPECT_GE(ejection.in(), (n + 1) / 2) << n << " endpoints";
        EXPECT_GE(ejection.in(), 1u);
      }
    }
  }
}

TEST_F(EjectionTest, ComesBackAfterHalfAMinuteAndTheNextTimeAfterTwiceThat) {
  add(4);
  fail(0);
  pass(29s);
  EXPECT_TRUE(ejection_.ejected(0));
  pass(1s);
  EXPECT_FALSE(ejection_.ejected(0));
  pass(30s);
  fail(0);
  ASSERT_TRUE(ejection_.ejected(0));
  pass(59s);
  EXPECT_TRUE(ejection_.ejected(0));
  pass(1s);
  EXPECT_FALSE(ejection_.ejected(0));
}

TEST_F(EjectionTest, ChangesAtMostOnceInItsDwellEitherWay) {
  add(4);
  Instant last_change = kStart - 1h;
  std::uint64_t changes = 0;
  for (int i = 0; i < 60'000; ++i) {
    pass(10ms);
    if (i % 700 < 300) ejection_.failed(0, now_);
    if (i % 1300 == 0) ejection_.out_of_reach(0, true, i % 2600 == 0, now_);
    if (i % 1300 == 90) ejection_.out_of_reach(0, false, false, now_);
    if (ejection_.changes(0) == changes) continue;
    ASSERT_EQ(ejection_.changes(0), changes + 1);
    EXPECT_GE(now_ - last_change, 30s);
    last_change = now_;
    ++changes;
  }
  EXPECT_GE(changes, 4u) << "the test has tested something";
}

TEST_F(EjectionTest, FlappingTakesItOutThoughNothingFailsOftenEnough) {
  add(4);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(ejection_.ejected(0));
    ejection_.out_of_reach(0, true, false, now_);
    ejection_.out_of_reach(0, true, false, now_);  // once out, more of it is no new flap
    pass(3s);
    ejection_.out_of_reach(0, false, false, now_);
    pass(3s);
  }
  EXPECT_TRUE(ejection_.ejected(0));
  for (int i = 0; i < 3; ++i) {
    ejection_.out_of_reach(1, true, false, now_);
    ejection_.out_of_reach(1, false, false, now_);
    pass(31s);
  }
  EXPECT_FALSE(ejection_.ejected(1)) << "three times in more than a minute are no flapping";
}

TEST_F(EjectionTest, WhoCannotBeReachedStaysOutBeyondItsTime) {
  add(4);
  ejection_.out_of_reach(0, true, true, now_);
  ASSERT_TRUE(ejection_.ejected(0));
  pass(45s);
  pass(45s);
  EXPECT_TRUE(ejection_.ejected(0));
  EXPECT_EQ(ejection_.changes(0), 1u);
  ejection_.out_of_reach(0, false, false, now_);
  pass(2s);
  EXPECT_FALSE(ejection_.ejected(0));
}

TEST_F(EjectionTest, WhoFailsMoreOftenThanTheOthersGoesAndWhoFailsAsOftenStays) {
  add(5);
  const auto ten_seconds = [&](double of_first, double of_others) {
    for (std::size_t at = 0; at < 5; ++at) {
      const int share = static_cast<int>((at == 0 ? of_first : of_others) * 10);
      for (int i = 0; i < 400; ++i) {
        if (i % 10 < share) {
          ejection_.failed(at, now_);
        } else {
          ejection_.succeeded(at);
        }
      }
    }
    pass(10s);
  };
  ten_seconds(0.3, 0.3);
  EXPECT_EQ(ejection_.in(), 5u) << "when all fail, it is not this one";
  ten_seconds(0.3, 0);
  EXPECT_TRUE(ejection_.ejected(0));
  EXPECT_EQ(ejection_.in(), 4u);
}

TEST(Bulkhead, AFullCompartmentLeavesTheOthersTheirOwnPlaces) {
  Bulkhead<2> places(2, {{{2, 4}, {1, 10}}});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(places.enter(0));
  EXPECT_FALSE(places.enter(0)) << "its most";
  EXPECT_TRUE(places.enter(1)) << "a place of its own, though no common one is left";
  EXPECT_FALSE(places.enter(1));
  places.leave(0);
  EXPECT_TRUE(places.enter(1)) << "a common place that came back";
  EXPECT_FALSE(places.enter(0));
  places.leave(1);
  EXPECT_TRUE(places.enter(0));
  EXPECT_EQ(places.used(0), 4u);
}

TEST(Bulkhead, PlacesAreNeitherLostNorMade) {
  Bulkhead<3> places(5, {{{1, 9}, {2, 3}, {0, 2}}});
  std::uint64_t chance = 3;
  std::array<std::uint32_t, 3> used{};
  for (int i = 0; i < 20'000; ++i) {
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    const std::size_t at = (chance >> 40) % 3;
    if ((chance >> 50) % 2 == 0) {
      if (places.enter(at)) ++used[at];
    } else if (used[at] > 0) {
      places.leave(at);
      --used[at];
    }
    ASSERT_EQ(places.used(at), used[at]);
    ASSERT_LE(used[0] + used[1] + used[2], 8u);
  }
  for (std::size_t at = 0; at < 3; ++at) {
    for (; used[at] > 0; --used[at]) places.leave(at);
  }
  int taken = 0;
  for (std::size_t at = 0; at < 3; ++at) {
    while (places.enter(at)) ++taken;
  }
  EXPECT_EQ(taken, 8);
}

}  // namespace
}  // namespace evercert::traffic
