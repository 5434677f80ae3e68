// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "traffic/policy/canary.h"
#include "traffic/policy/deadline.h"
#include "traffic/policy/hedge.h"
#include "traffic/policy/latency_window.h"
#include "traffic/policy/single_flight.h"
#include "traffic/policy/subset.h"
#include "traffic/policy/tuned_timeout.h"

namespace evercert::traffic {
namespace {

constexpr Instant kStart{1'000'000'000};

TEST(LatencyWindow, QuantilesAreNeverBelowTheTruthAndAtMostASixteenthAbove) {
  LatencyWindow window(60s);
  std::vector<std::int64_t> all;
  std::uint64_t chance = 5;
  for (int i = 0; i < 20'000; ++i) {
    chance = mix(chance + 0x9e3779b97f4a7c15);
    const auto us = static_cast<std::int64_t>(chance >> (28 + chance % 33));  // all magnitudes up to 2^36
    all.push_back(us);
    window.record(Duration{us}, kStart);
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
    const std::int64_t truth = all[static_cast<std::size_t>(std::ceil(q * 20'000)) - 1];
    const std::int64_t told = window.quantile(q, kStart)->count();
    EXPECT_GE(told, truth) << q;
    EXPECT_LE(told, truth + truth / 16 + 1) << q;
  }
}

TEST(LatencyWindow, ForgetsSliceBySliceWhatIsOlderThanItsSpan) {
  LatencyWindow window(60s);
  for (int second = 0; second < 60; ++second) window.record(1ms, kStart + second * 1s);
  EXPECT_EQ(window.count(kStart + 59s), 60u);
  std::uint64_t before = 60;
  for (int second = 60; second < 130; ++second) {
    const auto now = window.count(kStart + second * 1s);
    EXPECT_LE(now, before);
    EXPECT_LE(before - now, 10u) << "no more than a slice goes at once";
    before = now;
  }
  EXPECT_EQ(before, 0u);
  window.record(2ms, kStart + 130s);
  EXPECT_EQ(window.count(kStart + 10h), 0u);
  EXPECT_EQ(window.quantile(0.5, kStart + 10h), std::nullopt);
}

TEST(LatencyWindow, TakesAnyTimeAndSaysNothingOnTooFew) {
  LatencyWindow window;
  window.record(Duration{-5}, kStart);
  window.record(Duration{INT64_MAX}, kStart);
  window.record(1ms, kStart - 1h);  // read earlier than another thread's
  EXPECT_EQ(window.count(kStart), 3u);
  EXPECT_EQ(window.quantile(0.5, kStart, 4), std::nullopt);
  EXPECT_EQ(window.quantile(0, kStart), 0us);
  EXPECT_EQ(window.quantile(1, kStart), Duration{(std::int64_t{1} << 36) - 1});
}

TEST(Deadline, ReadsDigitsAndNothingElse) {
  EXPECT_EQ(parse_deadline("0"), 0ms);
  EXPECT_EQ(parse_deadline("1500"), 1500ms);
  EXPECT_EQ(parse_deadline("000000007"), 7ms);
  EXPECT_EQ(parse_deadline("999999999"), kLongestDeadline) << "bounded";
  for (const std::string_view bad : {"", " ", "-1", "+1", "1.5", "1e3", "0x10", "12 ", " 12", "12\r\n", "1,2",
                                     "1000000000", "99999999999999999999999999", "NaN", "\xd9\xa1"}) {
    const auto parsed = parse_deadline(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(parse_deadline(std::string(1'000'000, '9')));
  EXPECT_FALSE(parse_deadline(std::string_view("1\0002", 3)));
}

TEST(Deadline, GrowsShorterWithEachHopAndNeverLonger) {
  Instant now = kStart;
  Deadline first(now, 12s);
  now = now + 2s;
  const auto granted = first.for_next_hop(now, 50ms);
  ASSERT_TRUE(granted);
  EXPECT_EQ(*granted, 9950ms);
  EXPECT_EQ(format_deadline(*granted), "9950");
  const Instant elsewhere{77};  // another machine's clock
  Deadline second(elsewhere, 12s, *parse_deadline(format_deadline(*granted)));
  EXPECT_EQ(second.left(elsewhere), 9950ms);
  EXPECT_EQ(Deadline(elsewhere, 3s, 9950ms).left(elsewhere), 3s) << "a hop may grant less";
  EXPECT_EQ(second.left(elsewhere + 20s), 0us);
  EXPECT_TRUE(second.passed(elsewhere + 9950ms));
}

TEST(Deadline, BeginsNothingWhoseAnswerWouldComeTooLate) {
  const Deadline deadline(kStart, 100ms);
  EXPECT_TRUE(deadline.for_next_hop(kStart + 49ms, 50ms));
  const auto late = deadline.for_next_hop(kStart + 50ms, 50ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kExpired);
  EXPECT_FALSE(deadline.for_next_hop(kStart + 1h, 50ms));
  EXPECT_EQ(format_deadline(1999us), "1") << "rounded down: never more than there is";
  EXPECT_EQ(format_deadline(-5s), "0");
}

TEST(Hedge, OnlyReadsAreSentTwiceAtTheSameTime) {
  EXPECT_TRUE(may_hedge("GET", "/v1/certificates/ab"));
  EXPECT_TRUE(may_hedge("HEAD", "/crl/east.crl"));
  EXPECT_TRUE(may_hedge("POST", "/ocsp"));
  EXPECT_TRUE(may_hedge("POST", "/ocsp/east"));
  EXPECT_FALSE(may_hedge("POST", "/ocspx"));
  EXPECT_FALSE(may_hedge("POST", "/v1/certificates"));
  EXPECT_FALSE(may_hedge("POST", "/acme/new-order")) << "the second use of a nonce is refused";
  EXPECT_FALSE(may_hedge("GET", "/acme/new-nonce"));
  EXPECT_FALSE(may_hedge("GET", "/v1/watch/a")) << "a watch answers late by its nature";
  EXPECT_FALSE(may_hedge("PUT", "/v1/kv/a"));
}

TEST(Hedge, WaitsForTheP95AndSaysNothingBeforeItKnows) {
  LatencyWindow window(60s);
  HedgeDelay delay;
  for (int i = 0; i < 99; ++i) window.record(10ms, kStart);
  EXPECT_EQ(delay.get(window, kStart), std::nullopt);
  for (int i = 0; i < 10; ++i) window.record(80ms, kStart);
  const auto after = delay.get(window, kStart + 1s);
  ASSERT_TRUE(after);
  EXPECT_GE(*after, 80ms) << "10 of 109 are more than 5 %";
  EXPECT_LE(*after, 86ms);
}

TEST(Hedge, NeverAddsMoreThanItsShareAndNothingUnderPressure) {
  HedgeBudget budget({.share = 0.05, .floor_per_second = 1, .pressure = 0.7});
  Instant now = kStart;
  int taken = 0;
  constexpr int kCalls = 100'000;
  for (int i = 0; i < kCalls; ++i) {
    now = now + 1ms;
    budget.request();
    if (budget.take(0.3, now)) ++taken;
    ASSERT_LE(taken, 0.05 * (i + 1) + static_cast<double>((now - kStart).count()) / 1e6 + 1);
  }
  EXPECT_GE(taken, kCalls / 25) << "and uses what it has";
  EXPECT_FALSE(budget.take(0.7, now + 1h));
  EXPECT_TRUE(budget.take(0.69, now + 1h));
}

TEST(TunedTimeout, FollowsWhatIsSeenWithinItsBounds) {
  LatencyWindow window(60s);
  TunedTimeout timeout;
  EXPECT_EQ(timeout.get(window, kStart), 3s) << "nothing is known";
  for (int i = 0; i < 300; ++i) window.record(100ms, kStart);
  const Duration tuned = timeout.get(window, kStart + 1s);
  EXPECT_GE(tuned, 300ms);
  EXPECT_LE(tuned, 320ms);
  for (int i = 0; i < 50'000; ++i) window.record(1ms, kStart + 1s);
  EXPECT_EQ(timeout.get(window, kStart + 2s), 100ms) << "a pause of the machine is no loss";
  for (int i = 0; i < 20'000; ++i) window.record(8s, kStart + 3s);
  EXPECT_EQ(timeout.get(window, kStart + 4s), 10s);
}

TEST(TunedTimeout, WhenItIsTooLowItFindsOut) {
  // Everything takes 2 s now, but each call is given up when the figure has passed.
  LatencyWindow window(30s);
  TunedTimeout timeout;
  Instant now = kStart;
  for (int i = 0; i < 1000; ++i) window.record(20ms, now);
  int tries = 0;
  while (timeout.get(window, now) < 2s) {
    ASSERT_LT(++tries, 600);
    for (int i = 0; i < 20; ++i) window.record(timeout.get(window, now), now);
    now = now + 100ms;
  }
}

TEST(SingleFlight, EqualReadsAreAskedForOnce) {
  SingleFlight<std::string, int> flights(10, 10);
  EXPECT_EQ(flights.board("a", Freshness::kAny, 1), Boarding::kLeads);
  EXPECT_EQ(flights.board("a", Freshness::kAny, 2), Boarding::kWaits);
  EXPECT_EQ(flights.board("b", Freshness::kAny, 3), Boarding::kLeads);
  EXPECT_EQ(flights.board("a", Freshness::kAny, 4), Boarding::kWaits);
  const auto landing = flights.landed("a");
  EXPECT_EQ(landing.answered, (std::vector<int>{2, 4}));
  EXPECT_FALSE(landing.leads);
  EXPECT_EQ(flights.flights(), 1u);
  EXPECT_EQ(flights.board("a", Freshness::kAny, 5), Boarding::kLeads);
}

TEST(SingleFlight, WhoNeedsItFreshNeverGetsWhatWasAskedBeforeItCame) {
  SingleFlight<std::string, int> flights(10, 10);
  flights.board("a", Freshness::kFresh, 1);
  EXPECT_EQ(flights.board("a", Freshness::kFresh, 2), Boarding::kWaits);
  EXPECT_EQ(flights.board("a", Freshness::kFresh, 3), Boarding::kWaits);
  auto landing = flights.landed("a");
  EXPECT_TRUE(landing.answered.empty());
  EXPECT_EQ(landing.leads, 2);
  EXPECT_EQ(flights.board("a", Freshness::kFresh, 4), Boarding::kWaits) << "the second has left";
  landing = flights.landed("a");
  EXPECT_EQ(landing.answered, (std::vector<int>{3}));
  EXPECT_EQ(landing.leads, 4);
  landing = flights.landed("a");
  EXPECT_TRUE(landing.answered.empty());
  EXPECT_FALSE(landing.leads);
  EXPECT_EQ(flights.flights(), 0u);
}

TEST(SingleFlight, IsBoundedInKeysAndWaiters) {
  SingleFlight<int, int> flights(2, 2);
  flights.board(1, Freshness::kAny, 0);
  flights.board(2, Freshness::kAny, 0);
  EXPECT_EQ(flights.board(3, Freshness::kAny, 0), Boarding::kByItself);
  flights.board(1, Freshness::kAny, 1);
  flights.board(1, Freshness::kFresh, 2);
  EXPECT_EQ(flights.board(1, Freshness::kAny, 3), Boarding::kByItself);
  EXPECT_EQ(flights.landed(1).answered, (std::vector<int>{1}));
}

class CanaryTest : public ::testing::Test {
 protected:
  // One second of calls; true when it was rolled back in it.
  bool second(double stable_failing, double canary_failing, Duration stable_took, Duration canary_took) {
    bool rolled_back = false;
    for (int i = 0; i < 500; ++i) {
      now_ = now_ + 2ms;
      const auto release = i % 5 == 0 ? Release::kCanary : Release::kStable;
      const bool canary = release == Release::kCanary;
      chance_ = mix(chance_ + 0x9e3779b97f4a7c15);
      const bool failed = static_cast<double>(chance_ >> 11) * 0x1.0p-53 < (canary ? canary_failing : stable_failing);
      rolled_back = canary_.finished(release, failed, canary ? canary_took : stable_took, now_) || rolled_back;
    }
    return rolled_back;
  }
  Canary canary_;
  Instant now_ = kStart;
  std::uint64_t chance_ = 11;
};

TEST_F(CanaryTest, GivesItsShareAndKeepsEachClientWhereItIs) {
  canary_.begin(1000);
  std::vector<bool> first;
  int in = 0;
  for (std::uint64_t client = 0; client < 20'000; ++client) {
    first.push_back(canary_.choose(stable_hash(std::to_string(client))) == Release::kCanary);
    in += first.back() ? 1 : 0;
  }
  EXPECT_NEAR(in, 2000, 150);
  canary_.begin(3000);
  for (std::uint64_t client = 0; client < 20'000; ++client) {
    if (!first[client]) continue;
    ASSERT_EQ(canary_.choose(stable_hash(std::to_string(client))), Release::kCanary) << "nobody goes back";
  }
}

TEST_F(CanaryTest, AHeaderDecidesAndOnlyItsTwoWords) {
  EXPECT_EQ(canary_.choose(1, CanaryWish::kCanary), Release::kStable) << "there is none";
  canary_.begin(1);
  EXPECT_EQ(canary_.choose(1, parse_canary_wish("always")), Release::kCanary);
  canary_.begin(10'000);
  EXPECT_EQ(canary_.choose(1, parse_canary_wish("never")), Release::kStable);
  EXPECT_EQ(parse_canary_wish("Always"), CanaryWish::kNone);
  EXPECT_EQ(parse_canary_wish(std::string(100'000, 'a')), CanaryWish::kNone);
}

TEST_F(CanaryTest, MoreErrorsThanTheStableOneTakeItBack) {
  canary_.begin(2000);
  bool back = false;
  for (int i = 0; i < 20 && !back; ++i) back = second(0.001, 0.05, 10ms, 10ms);
  EXPECT_TRUE(back);
  EXPECT_TRUE(canary_.rolled_back());
  EXPECT_TRUE(canary_.why().starts_with("errors: ")) << canary_.why();
  EXPECT_EQ(canary_.choose(1, CanaryWish::kCanary), Release::kStable) << "for everybody, at once";
  canary_.begin(500);
  EXPECT_FALSE(canary_.rolled_back()) << "a person began anew";
}

TEST_F(CanaryTest, SlowerAnswersTakeItBack) {
  canary_.begin(2000);
  bool back = false;
  for (int i = 0; i < 20 && !back; ++i) back = second(0, 0, 20ms, 60ms);
  EXPECT_TRUE(back);
  EXPECT_TRUE(canary_.why().starts_with("latency: p95 ")) << canary_.why();
}

TEST_F(CanaryTest, WhatHurtsBothIsNotItsFault) {
  canary_.begin(2000);
  for (int i = 0; i < 300; ++i) ASSERT_FALSE(second(0.3, 0.3, 500ms, 500ms)) << "second " << i << canary_.why();
  EXPECT_FALSE(canary_.rolled_back());
}

TEST_F(CanaryTest, AFewCallsProveNothing) {
  canary_.begin(2000);
  for (int i = 0; i < 150; ++i) {
    now_ = now_ + 20ms;
    EXPECT_FALSE(canary_.finished(Release::kStable, false, 1ms, now_));
    EXPECT_FALSE(canary_.finished(Release::kCanary, true, 1ms, now_));
  }
}

}  // namespace
}  // namespace evercert::traffic
