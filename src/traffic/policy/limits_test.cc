// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "traffic/policy/admission.h"
#include "traffic/policy/backpressure.h"
#include "traffic/policy/criticality.h"
#include "traffic/policy/futile_clients.h"
#include "traffic/policy/gradient_limit.h"
#include "traffic/policy/rate_limit.h"
#include "traffic/policy/subset.h"

namespace evercert::traffic {
namespace {

constexpr Instant kStart{1'000'000'000};
constexpr SipKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};

TEST(SipHash, GivesTheExampleOfItsPaper) {
  std::string message;
  for (char c = 0; c < 15; ++c) message += c;
  EXPECT_EQ(sip_hash(kKey, message), 0xa129ca6149be45e5);
}

TEST(SipHash, DependsOnEveryByteTheLengthAndTheKey) {
  EXPECT_NE(sip_hash(kKey, ""), sip_hash(kKey, std::string(1, '\0')));
  EXPECT_NE(sip_hash(kKey, std::string(8, '\0')), sip_hash(kKey, std::string(9, '\0')));
  EXPECT_NE(sip_hash(kKey, "abcdefgh"), sip_hash(kKey, "abcdefgi"));
  EXPECT_NE(sip_hash(kKey, "a"), sip_hash({kKey.low + 1, kKey.high}, "a"));
}

TEST(RateTable, AllowsItsBurstThenItsRateAndTellsHowLong) {
  RateTable table({10, 5}, 64);
  Instant now = kStart;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(table.wait(1, 1, 1, now), 0us);
    table.charge(1, 1, 1, now);
  }
  const Duration wait = table.wait(1, 1, 1, now);
  EXPECT_EQ(wait, 100ms);
  EXPECT_GT(table.wait(1, 1, 1, now + wait - 1us), 0us) << "not before";
  EXPECT_EQ(table.wait(1, 1, 1, now + wait), 0us) << "and then surely";
  int admitted = 0;
  for (int i = 0; i < 10'000; ++i) {
    now = now + 1ms;
    if (table.wait(1, 1, 1, now) > 0us) continue;
    table.charge(1, 1, 1, now);
    ++admitted;
  }
  EXPECT_NEAR(admitted, 100, 1) << "10 a second for 10 s";
}

TEST(RateTable, ACostAboveTheBurstIsNoWaitForEver) {
  RateTable table({10, 5}, 64);
  EXPECT_EQ(table.wait(1, 1e9, 1, kStart), 0us);
  table.charge(1, 1e9, 1, kStart);
  EXPECT_EQ(table.wait(1, 1, 1, kStart), 100ms);
}

TEST(RateTable, AFloodOfNewKeysDoesNotFreeWhoIsInDebt) {
  RateTable table({1, 100}, 1024);
  const std::uint64_t debtor = mix(12345);
  for (int i = 0; i < 100; ++i) table.charge(debtor, 1, 1, kStart);
  ASSERT_GT(table.wait(debtor, 1, 1, kStart), 0us);
  for (std::uint64_t i = 1; i <= 100'000; ++i) table.charge(mix(i + 1'000'000), 1, 1, kStart);
  EXPECT_GT(table.wait(debtor, 1, 1, kStart), 0us);
}

class RateLimitTest : public ::testing::Test {
 protected:
  static RateLimitOptions small() {
    RateLimitOptions options;
    options.client = {10, 10};
    options.prefix = {100, 100};
    options.account = {5, 5};
    options.clients = options.prefixes = options.accounts = 1024;
    return options;
  }
  int admitted(const Caller& caller, int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) count += limit_.ask(caller, 1, now_).admitted ? 1 : 0;
    return count;
  }
  RateLimit limit_{small(), kKey};
  Instant now_ = kStart;
};

TEST_F(RateLimitTest, EachScopeLimitsByItself) {
  EXPECT_EQ(admitted({"a", "192.0.2.1", ""}, 50), 10) << "the client";
  EXPECT_EQ(admitted({"b", "192.0.2.2", "acct"}, 50), 5) << "the account";
  EXPECT_EQ(admitted({"c", "198.51.100.1", "acct"}, 50), 0) << "the same account from elsewhere";
  int of_prefix = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string address = "203.0.113." + std::to_string(i);
    of_prefix += admitted({address, address, ""}, 10);
  }
  EXPECT_EQ(of_prefix, 100) << "the network, with however many addresses";
}

TEST_F(RateLimitTest, WhoIsRefusedIsChargedNowhereAndIsToldWhenToCome) {
  admitted({"", "", "acct"}, 5);
  EXPECT_EQ(admitted({"a", "192.0.2.1", "acct"}, 1000), 0);
  EXPECT_EQ(admitted({"a", "192.0.2.1", ""}, 50), 10) << "the refused ones cost the client nothing";
  const auto ruling = limit_.ask({"", "", "acct"}, 1, now_);
  EXPECT_EQ(ruling.by, RateScope::kAccount);
  EXPECT_EQ(ruling.retry_after, 200ms);
  EXPECT_EQ(retry_after_seconds(ruling.retry_after), 1);
  EXPECT_EQ(retry_after_seconds(2000001us), 3);
  now_ = now_ + ruling.retry_after;
  EXPECT_TRUE(limit_.ask({"", "", "acct"}, 1, now_).admitted);
}

TEST_F(RateLimitTest, AnAddressThatIsNoneIsNoWayAround) {
  int count = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "junk-" + std::to_string(i);
    count += admitted({"", name, ""}, 1);
  }
  EXPECT_EQ(count, 100);
}

TEST_F(RateLimitTest, AStrangersFloodNeitherFreesALimitedClientNorHurtsAGoodOne) {
  admitted({"greedy", "192.0.2.1", ""}, 100);
  for (int i = 0; i < 50'000; ++i) {
    const std::string address = "2001:db8:" + std::to_string(i % 10'000) + "::" + std::to_string(i % 7);
    limit_.ask({address, address, ""}, 1, now_);
  }
  EXPECT_FALSE(limit_.ask({"greedy", "192.0.2.1", ""}, 1, now_).admitted);
  EXPECT_TRUE(limit_.ask({"good", "198.51.100.9", "its account"}, 1, now_).admitted);
}

TEST_F(RateLimitTest, FallsByAFactorInOverloadAndComesBackByStepsWithinBounds) {
  limit_.adapt(true, now_);
  EXPECT_DOUBLE_EQ(limit_.share(), 0.7);
  limit_.adapt(true, now_ + 500ms);
  EXPECT_DOUBLE_EQ(limit_.share(), 0.7) << "once in its interval";
  for (int i = 1; i < 50; ++i) limit_.adapt(true, now_ + i * 1s);
  EXPECT_DOUBLE_EQ(limit_.share(), 0.1);
  now_ = now_ + 100s;
  for (int i = 0; i < 10; ++i) limit_.adapt(false, now_ + i * 1s);
  EXPECT_NEAR(limit_.share(), 0.6, 1e-9);
  for (int i = 10; i < 50; ++i) limit_.adapt(false, now_ + i * 1s);
  EXPECT_DOUBLE_EQ(limit_.share(), 1);
  now_ = now_ + 60s;
  limit_.adapt(true, now_);
  int count = 0;
  for (int i = 0; i < 10'000; ++i) {
    now_ = now_ + 1ms;
    count += limit_.ask({"slow", "", ""}, 1, now_).admitted ? 1 : 0;
  }
  EXPECT_NEAR(count, 10 + 70, 3) << "the burst and seven a second";
}

TEST(FutileClients, AreThoseWhoFailInARowAndASuccessEndsIt) {
  FutileClients futile({.failures = 3, .forget_after = 1h, .clients = 64}, kKey);
  Instant now = kStart;
  for (int i = 0; i < 2; ++i) futile.failed("a", now);
  EXPECT_FALSE(futile.futile("a", now));
  futile.failed("a", now);
  EXPECT_TRUE(futile.futile("a", now));
  EXPECT_FALSE(futile.futile("b", now));
  EXPECT_FALSE(futile.futile("a", now + 61min)) << "in time it is forgotten";
  futile.succeeded("a");
  EXPECT_FALSE(futile.futile("a", now));
  for (int i = 0; i < 2; ++i) futile.failed("a", now);
  EXPECT_FALSE(futile.futile("a", now)) << "counted anew";
}

TEST(FutileClients, AFloodOfStrangersDoesNotWashThemOut) {
  FutileClients futile({.failures = 3, .forget_after = 1h, .clients = 256}, kKey);
  for (int i = 0; i < 3; ++i) futile.failed("zombie", kStart);
  for (int i = 0; i < 100'000; ++i) futile.failed("stranger-" + std::to_string(i), kStart + i * 1ms);
  EXPECT_TRUE(futile.futile("zombie", kStart + 100s));
}

TEST(Criticality, KnowsTheInterfaces) {
  using enum Criticality;
  const auto of = [](std::string_view method, std::string_view path) { return classify(method, path); };
  EXPECT_EQ(of("POST", "/ocsp"), kOcsp);
  EXPECT_EQ(of("GET", "/ocsp/east/MFE"), kOcsp);
  EXPECT_EQ(of("GET", "/crl/east.crl"), kCrl);
  EXPECT_EQ(of("GET", "/ca/east.crt"), kCrl);
  EXPECT_EQ(of("POST", "/v1/certificates/ab/revoke"), kRevocation);
  EXPECT_EQ(of("POST", "/acme/revoke-cert"), kRevocation);
  EXPECT_EQ(of("HEAD", "/acme/new-nonce"), kRevocation) << "a revocation begins with it";
  EXPECT_EQ(of("GET", "/readyz"), kOperator) << "else overload would look like death";
  EXPECT_EQ(of("POST", "/v1/regions/east/fence"), kOperator);
  EXPECT_EQ(of("POST", "/acme/order/1/finalize"), kRenewal);
  EXPECT_EQ(of("POST", "/v1/leases/7/renew"), kRenewal);
  EXPECT_EQ(of("POST", "/v1/certificates"), kIssuance);
  EXPECT_EQ(of("POST", "/acme/new-order"), kIssuance);
  EXPECT_EQ(of("GET", "/v1/certificates/ab"), kIssuance);
  EXPECT_EQ(of("GET", "/v1/certificates"), kListing);
  EXPECT_EQ(of("POST", "/acme/acct/1/orders"), kListing);
  EXPECT_EQ(of("BREW", "/coffee"), kIssuance);
  EXPECT_EQ(of("", ""), kIssuance);
}

TEST(Criticality, ADisguiseWinsNothing) {
  using enum Criticality;
  EXPECT_EQ(classify("POST", "/ocspfoo"), kIssuance);
  EXPECT_EQ(classify("POST", "/crl/east.crl"), kIssuance) << "it will be refused: no place for it before others";
  EXPECT_EQ(classify("POST", "/v1/nodesfoo"), kIssuance);
  EXPECT_EQ(classify("GET", "/v1/certificates/ab/revoke"), kIssuance);
  EXPECT_EQ(classify("GET", std::string(1'000'000, '/')), kIssuance);
}

TEST(Criticality, HintsMoveIssuanceAndNeverARevocation) {
  using enum Criticality;
  EXPECT_EQ(classify("POST", "/v1/certificates", {.renewal = true}), kRenewal);
  EXPECT_EQ(classify("POST", "/acme/new-order", {.renewal = true, .futile = true}), kFutile);
  EXPECT_EQ(classify("POST", "/acme/order/1/finalize", {.futile = true}), kFutile);
  EXPECT_EQ(classify("POST", "/acme/revoke-cert", {.futile = true}), kRevocation);
  EXPECT_EQ(classify("POST", "/ocsp", {.futile = true}), kOcsp);
}

TEST(Criticality, ARenewalIsDueInTheLastThirdAndShortlyAfterTheEnd) {
  const auto day = [](std::int64_t n) { return WallTime{n * 24 * 3600 * 1000}; };
  EXPECT_FALSE(in_renewal_window(day(100), day(190), day(159)));
  EXPECT_TRUE(in_renewal_window(day(100), day(190), day(160)));
  EXPECT_TRUE(in_renewal_window(day(100), day(190), day(197)));
  EXPECT_FALSE(in_renewal_window(day(100), day(190), day(198)));
  EXPECT_FALSE(in_renewal_window(day(100), day(106), day(102)));
  EXPECT_TRUE(in_renewal_window(day(100), day(106), day(103))) << "half of a short life";
  EXPECT_FALSE(in_renewal_window(day(100), day(100), day(100)));
  EXPECT_FALSE(in_renewal_window(day(100), day(50), day(70)));
}

TEST(QueueDelay, ABurstIsNoStandingQueue) {
  QueueDelay queue(5ms, 100ms);
  Instant now = kStart;
  for (int i = 0; i < 1000; ++i) {
    now = now + 10ms;
    queue.observe(i % 5 == 0 ? 1ms : 80ms, now);
    ASSERT_FALSE(queue.overloaded()) << "somebody did not have to wait";
  }
  for (int i = 0; i < 25; ++i) {
    now = now + 10ms;
    queue.observe(8ms, now);
  }
  EXPECT_TRUE(queue.overloaded());
  now = now + 5s;
  queue.observe(8ms, now);
  EXPECT_FALSE(queue.overloaded()) << "nothing is known of the pause";
}

TEST(Admission, TheLowerClassesStopFirstAndTheProtectedOnesAtTheHardBoundAlone) {
  using enum Criticality;
  Admission door;
  const auto admitted = [&](double in_flight) {
    std::string out;
    for (const auto of : {kOperator, kRevocation, kOcsp, kCrl, kRenewal, kIssuance, kListing, kFutile})
      out += door.admits(of, in_flight, 100) ? '1' : '0';
    return out;
  };
  EXPECT_EQ(admitted(29), "11111111");
  EXPECT_EQ(admitted(30), "11111110");
  EXPECT_EQ(admitted(40), "11111100");
  EXPECT_EQ(admitted(75), "11111000");
  EXPECT_EQ(admitted(119), "11111000") << "renewals may wait in a short queue, but are not turned away for it";
  EXPECT_EQ(admitted(120), "11110000");
  EXPECT_EQ(admitted(499), "11110000");
  EXPECT_EQ(admitted(500), "00000000");
  EXPECT_TRUE(door.admits(kOcsp, 999, 250)) << "four times the limit";
  EXPECT_FALSE(door.admits(kOcsp, 1000, 250));
  EXPECT_FALSE(door.admits(kOcsp, 20'000, 1e9)) << "what a process can hold";
  EXPECT_TRUE(door.admits(kOcsp, 499, 0)) << "with no limit known the protected ones have a few places";
  EXPECT_FALSE(door.admits(kRenewal, 0, 0));
}

TEST(Admission, AStandingQueueLowersTheSharesStepByStepAndTheyComeBack) {
  using enum Criticality;
  Admission door;
  Instant now = kStart;
  const auto wait = [&](Duration waited, int intervals) {
    for (int i = 0; i < intervals * 10; ++i) {
      now = now + 10ms;
      door.waited(waited, now);
    }
  };
  EXPECT_TRUE(door.admits(kIssuance, 50, 100));
  wait(20ms, 6);
  EXPECT_GE(door.pressure(), 0.4);
  EXPECT_FALSE(door.admits(kIssuance, 50, 100));
  wait(20ms, 20);
  EXPECT_EQ(door.pressure(), 1);
  EXPECT_FALSE(door.admits(kRenewal, 0, 100));
  EXPECT_TRUE(door.admits(kOcsp, 200, 100));
  wait(1ms, 40);
  EXPECT_EQ(door.pressure(), 0);
}

TEST(ReadGate, ClosesAtTheHighMarkAndOpensAtTheLowOneOnly) {
  ReadGate gate(10, 20);
  EXPECT_FALSE(gate.took(19));
  EXPECT_TRUE(gate.took(1));
  EXPECT_FALSE(gate.open());
  EXPECT_FALSE(gate.took(5)) << "it is closed already";
  EXPECT_FALSE(gate.gave_back(14));
  EXPECT_TRUE(gate.gave_back(1));
  EXPECT_TRUE(gate.open());
  EXPECT_FALSE(gate.gave_back(10));
  EXPECT_EQ(gate.held(), 0u);
}

// A server with `workers`, whose answers take `service` and wait their turn, always with as many in flight as allowed.
class GradientTest : public ::testing::Test {
 protected:
  // Everybody in flight gets an answer: one round.
  void rounds(int n, int workers, Duration service, double demand = 1e9, std::size_t kind = 0) {
    for (int i = 0; i < n; ++i) {
      const int in_flight = std::max(1, static_cast<int>(std::min(limit_.limit(), demand)));
      const double queue = std::max(1.0, static_cast<double>(in_flight) / workers);
      const Duration took{static_cast<std::int64_t>(static_cast<double>(service.count()) * queue)};
      for (int k = 0; k < in_flight; ++k) limit_.started();
      now_ = now_ + took;
      for (int k = 0; k < in_flight; ++k) limit_.answered(kind, took, now_);
    }
  }
  // Not in the moment in which it measures anew, with less.
  void finish_measuring(int workers, Duration service) {
    for (int i = 0; i < 1000 && limit_.measuring(); ++i) rounds(1, workers, service);
    ASSERT_FALSE(limit_.measuring());
  }
  GradientLimit limit_{GradientOptions{.initial = 30, .slack = 1ms}, 3};
  Instant now_ = kStart;
};

TEST_F(GradientTest, FindsHowManyTheServerCanTake) {
  rounds(100, 50, 10ms, 20);  // calm: the baseline
  rounds(3000, 50, 10ms);
  finish_measuring(50, 10ms);
  EXPECT_GE(limit_.limit(), 50) << "all workers are used";
  EXPECT_LE(limit_.limit(), 50 * 1.7) << "and not many wait";
}

TEST_F(GradientTest, FallsWhenTheServerLosesWorkersAndRisesWhenTheyComeBack) {
  rounds(100, 100, 10ms, 20);
  rounds(2000, 100, 10ms);
  finish_measuring(100, 10ms);
  ASSERT_GE(limit_.limit(), 100);
  rounds(600, 20, 10ms);
  EXPECT_LE(limit_.limit(), 20 * 3);
  rounds(6000, 100, 10ms);
  finish_measuring(100, 10ms);
  EXPECT_GE(limit_.limit(), 100);
}

TEST_F(GradientTest, OneSlowCallAtATimeIsNoQueue) {
  rounds(200, 50, 10ms, 20);
  const double before = limit_.limit();
  for (int i = 0; i < 2000; ++i) {
    limit_.started();
    now_ = now_ + 50ms;
    limit_.answered(0, 50ms, now_);
  }
  EXPECT_GE(limit_.limit(), before * 0.99) << "it was doubted, measured, and not the load's fault";
}

TEST_F(GradientTest, AnswersThatAreSlowForAReasonOfTheirOwnDoNotStrangleIt) {
  rounds(200, 50, 10ms, 20);
  rounds(1000, 50, 10ms, 45);
  const double before = limit_.limit();
  rounds(400, 50, 30ms, 45);  // the quorum is farther away now; nothing waits
  EXPECT_GE(limit_.limit(), 45) << "before " << before;
}

TEST_F(GradientTest, AnotherMixOfKindsIsNotTakenForAQueue) {
  for (int i = 0; i < 200; ++i) {
    rounds(1, 50, 2ms, 20, 1);
    rounds(1, 50, 40ms, 20, 2);
  }
  rounds(300, 50, 2ms, 30, 1);
  const double before = limit_.limit();
  rounds(300, 50, 40ms, 30, 2);  // twenty times as slow, all of it
  EXPECT_GE(limit_.limit(), before * 0.95);
}

TEST_F(GradientTest, ARefusalLowersItOnceInAWindow) {
  rounds(200, 1000, 10ms, 60);
  const double unasked = limit_.limit();
  limit_.refused(now_ - 1s);
  EXPECT_EQ(limit_.limit(), unasked) << "when nothing is in flight, it is not the limit";
  while (limit_.in_flight() < limit_.limit()) limit_.started();
  limit_.refused(now_);
  const double before = limit_.limit();
  now_ = now_ + 101ms;
  for (int i = 0; i < 100; ++i) limit_.refused(now_);
  EXPECT_LT(limit_.limit(), before);
  EXPECT_GE(limit_.limit(), before * 0.8) << "not once for each of a hundred";
}

TEST_F(GradientTest, OneVerySlowEndpointAmongManyIsNoQueue) {
  rounds(100, 50, 10ms, 8);
  const double before = limit_.limit();
  for (int i = 0; i < 400; ++i) {
    for (int k = 0; k < 20; ++k) limit_.started();
    now_ = now_ + 25ms;
    for (int k = 0; k < 20; ++k) limit_.answered(0, k == 0 ? 400ms : 10ms, now_);
  }
  EXPECT_GE(limit_.limit(), before) << "a twentieth of the answers, forty times as slow";
}

TEST_F(GradientTest, WhatWasNeverTriedIsNotAllowedWhenManyEndpointsHaveGone) {
  limit_.resize(8);
  ASSERT_EQ(limit_.each(), 30);
  limit_.resize(7);
  EXPECT_EQ(limit_.each(), 30) << "one of eight: a seventh more for each";
  limit_.resize(6);
  EXPECT_EQ(limit_.each(), 8);
  EXPECT_EQ(limit_.limit(), 48);
  limit_.resize(0);
  EXPECT_EQ(limit_.limit(), 0);
  limit_.resize(8);
  EXPECT_EQ(limit_.each(), 8) << "it grows by what is seen, not by their return";
}

TEST_F(GradientTest, WhatHadWaitedBeforeIsNotMeasured) {
  rounds(100, 50, 10ms, 20);
  for (int i = 0; i < 200 && !limit_.measuring(); ++i) rounds(1, 50, 30ms, 20);
  ASSERT_TRUE(limit_.measuring());
  const double low = limit_.limit();
  for (int i = 0; i < 300; ++i) limit_.started();
  for (int i = 0; i < 300; ++i) {
    if (i % 100 == 0) now_ = now_ + 21ms;  // windows end
    limit_.answered(0, 120ms, now_);
  }
  EXPECT_TRUE(limit_.measuring()) << "they had begun before";
  for (int i = 0; i < 100 && limit_.measuring(); ++i) rounds(1, 50, 10ms, 20);
  EXPECT_FALSE(limit_.measuring());
  EXPECT_LE(limit_.limit(), 3 * low) << "the answers were quick again: it was a queue, and the limit does not go back";
}

TEST_F(GradientTest, StaysWithinItsBounds) {
  rounds(100, 50, 10ms, 20);
  rounds(3000, 1, 500ms);
  EXPECT_GE(limit_.limit(), 2);
  rounds(2000, 100'000, 100ms);
  EXPECT_DOUBLE_EQ(limit_.limit(), 1000);
}

}  // namespace
}  // namespace evercert::traffic
