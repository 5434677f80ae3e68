// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/guests.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "traffic/edge/counting_random.h"

namespace evercert::traffic {
namespace {

net::HttpRequest from(std::string address, std::string identity = {}, std::string token = {}) {
  net::HttpRequest request;
  request.method = "POST";
  request.path = request.target = "/v1/certificates";
  request.peer_address = std::move(address);
  request.client_identity = std::move(identity);
  if (!token.empty()) request.headers.add("Authorization", "Bearer " + token);
  return request;
}

class GuestsTest : public ::testing::Test {
 protected:
  static GuestOptions options() {
    GuestOptions options;
    options.rates.client = {1, 5};
    options.rates.prefix = {1, 20};
    options.rates.account = {1, 3};
    options.futile.failures = 4;
    return options;
  }
  int admitted(const net::HttpRequest& request, int of, bool from_edge = false) {
    int n = 0;
    for (int i = 0; i < of; ++i) n += guests_.rule(request, from_edge, now_).refused ? 0 : 1;
    return n;
  }
  Counting random_;
  Instant now_{1'000'000'000};
  Guests guests_{options(), "evercert://c/", random_};
};

TEST_F(GuestsTest, AClientItsTokenAndItsNetworkEachHaveTheirRate) {
  EXPECT_EQ(admitted(from("192.0.2.1"), 10), 5);
  EXPECT_EQ(admitted(from("192.0.2.2"), 10), 5) << "a neighbour";
  EXPECT_EQ(admitted(from("192.0.2.3", {}, "t"), 10), 3);
  EXPECT_EQ(admitted(from("198.51.100.3", {}, "t"), 10), 0) << "the same token from elsewhere";
  EXPECT_EQ(admitted(from("192.0.2.4"), 10) + admitted(from("192.0.2.5"), 10), 7) << "20 for the whole network";
  now_ = now_ + 2s;
  EXPECT_EQ(admitted(from("192.0.2.1"), 10), 2);
}

TEST_F(GuestsTest, TheClusterItselfAndWhatAnotherEdgeHasCountedAreNotLimited) {
  EXPECT_EQ(admitted(from("192.0.2.1", "evercert://c/operator"), 50), 50);
  EXPECT_EQ(admitted(from("192.0.2.1", "evercert://other/operator"), 50), 5)
      << "an identity of another cluster is a stranger's";
  EXPECT_EQ(admitted(from("192.0.2.9"), 50, true), 50);
  EXPECT_EQ(admitted(from("127.0.0.1"), 50), 50) << "nor is this machine, unless it is said";
  EXPECT_EQ(admitted(from("::1"), 50), 50);
  GuestOptions strict = options();
  strict.limit_loopback = true;
  Guests all(strict, "evercert://c/", random_);
  int n = 0;
  for (int i = 0; i < 50; ++i) n += all.rule(from("127.0.0.1"), false, now_).refused ? 0 : 1;
  EXPECT_EQ(n, 5);
}

TEST_F(GuestsTest, WhoAlwaysFailsIsServedLastUntilItSucceeds) {
  const auto request = from("192.0.2.1");
  const std::string guest = guests_.guest_of(request, false);
  ASSERT_EQ(guest, "192.0.2.1");
  const auto of = [&] { return guests_.rule(request, false, now_ = now_ + 10s).of; };
  const auto answered = [&](Criticality what, int status) {
    guests_.answered(guest, {.of = what, .refused = std::nullopt}, status, std::nullopt, now_);
  };
  for (int i = 0; i < 10; ++i) {
    for (const int ours : {500, 503, 504, 429, 408}) answered(Criticality::kIssuance, ours);
  }
  EXPECT_EQ(of(), Criticality::kIssuance) << "what is not its fault is not held against it";
  for (int i = 0; i < 10; ++i) answered(Criticality::kListing, 400);
  EXPECT_EQ(of(), Criticality::kIssuance) << "a wrong read costs nothing";
  for (int i = 0; i < 4; ++i) answered(Criticality::kIssuance, 400);
  EXPECT_EQ(of(), Criticality::kFutile);
  auto revocation = request;
  revocation.path = "/v1/certificates/01/revoke";
  EXPECT_EQ(guests_.rule(revocation, false, now_ = now_ + 10s).of, Criticality::kRevocation);
  answered(Criticality::kFutile, 201);
  EXPECT_EQ(of(), Criticality::kIssuance);
  EXPECT_EQ(guests_.guest_of(request, true), "") << "what another edge passes on is judged there";
}

net::HttpRequest of_account(std::string address, const std::string& account) {
  net::HttpRequest request = from(std::move(address));
  request.path = request.target = "/acme/order/1";
  const std::string header = "{\"kid\":\"https://ca.test/acme/acct/" + account + "\"}";
  request.body = "{\"protected\":\"" + to_base64url(header) + "\",\"payload\":\"\",\"signature\":\"AA\"}";
  return request;
}

TEST_F(GuestsTest, AnAccountHasOneRateWhereverItComesFromOnceItHasProvedItself) {
  int served = 0;
  for (int i = 1; i <= 10; ++i) {
    const auto request = of_account("198.51." + std::to_string(i) + ".1", "a");
    const auto ruling = guests_.rule(request, false, now_);
    if (ruling.refused) {
      EXPECT_EQ(ruling.refused->by, RateScope::kAccount);
      continue;
    }
    ++served;
    guests_.answered(guests_.guest_of(request, false), ruling, 200, std::nullopt, now_);
  }
  EXPECT_EQ(served, 3);
  EXPECT_FALSE(guests_.rule(of_account("198.51.100.1", "b"), false, now_).refused);
}

TEST_F(GuestsTest, WhoOnlySaysThatItIsAnAccountUsesUpNothingOfThat) {
  for (int i = 1; i <= 50; ++i) {
    const auto request = of_account("198.51." + std::to_string(i) + ".1", "victim");
    const auto ruling = guests_.rule(request, false, now_);
    EXPECT_FALSE(ruling.refused);
    guests_.answered(guests_.guest_of(request, false), ruling, 403, std::nullopt, now_);
  }
  EXPECT_FALSE(guests_.rule(of_account("203.0.113.1", "victim"), false, now_).refused);
}

TEST_F(GuestsTest, ARenewalIsBelievedUntilItWasNone) {
  auto request = from("192.0.2.1");
  request.body = R"({"csr":"x","replaces":"01ab"})";
  const auto rule = [&] { return guests_.rule(request, false, now_ = now_ + 10s); };
  EXPECT_EQ(rule().of, Criticality::kRenewal);
  guests_.answered("192.0.2.1", rule(), 201, true, now_);
  EXPECT_EQ(rule().of, Criticality::kRenewal);
  guests_.answered("192.0.2.1", rule(), 201, false, now_);
  EXPECT_EQ(rule().of, Criticality::kIssuance);
  request.peer_address = "192.0.2.2";
  EXPECT_EQ(rule().of, Criticality::kRenewal) << "a neighbour is believed";
  request.peer_address = "192.0.2.1";
  now_ = now_ + 2h;
  EXPECT_EQ(rule().of, Criticality::kRenewal) << "and it too, after a while";
}

TEST_F(GuestsTest, RatesFallWhileThereIsTooMuchToDo) {
  for (int i = 1; i <= 5; ++i) guests_.adapt(true, now_ + i * 1s);
  EXPECT_LT(guests_.share(), 0.3);
  for (int i = 6; i <= 30; ++i) guests_.adapt(false, now_ + i * 1s);
  EXPECT_EQ(guests_.share(), 1);
}

}  // namespace
}  // namespace evercert::traffic
