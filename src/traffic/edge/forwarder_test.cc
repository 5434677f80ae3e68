// SPDX-License-Identifier: Apache-2.0
// Requests through a Forwarder to nodes that are made here, on virtual time.
#include "traffic/edge/forwarder_test_world.h"

namespace evercert::traffic {
namespace {

TEST_F(ForwarderTest, WhatOneCannotTakeAnotherIsAskedForAndAttemptsAreNumbered) {
  begin(3);
  link_.nodes[0].error = link_.nodes[1].error = link_.nodes[2].error = Code::kUnavailable;
  EXPECT_EQ(answered(request("POST", "/v1/certificates"))->status(), 503);
  ASSERT_EQ(link_.asked.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(link_.asked[i].attempt, std::to_string(i + 1));
  EXPECT_EQ(counters_.retries, 2u);
  EXPECT_EQ(in_flight(), 0);
}

TEST_F(ForwarderTest, WhatMayHaveHappenedIsRepeatedOnlyWhereThatIsSafe) {
  begin(2);
  link_.nodes[0].error = link_.nodes[1].error = Code::kUnknownOutcome;
  EXPECT_EQ(answered(request("POST", "/v1/locks/a"))->status(), 504);
  EXPECT_EQ(link_.asked.size(), 1u);
  link_.asked.clear();
  EXPECT_EQ(answered(request("POST", "/v1/certificates"))->status(), 504);
  EXPECT_EQ(link_.asked.size(), 2u) << "the edge's own id makes it the same one";
}

TEST_F(ForwarderTest, WhatMayHaveHappenedAtOneIsNotCalledRefusedBecauseOfAnother) {
  for (const bool refuses : {false, true}) {
    begin(2);
    link_.nodes[0].error = Code::kUnknownOutcome;
    link_.nodes[1].error = refuses ? std::nullopt : std::optional(Code::kUnavailable);
    link_.nodes[1].status = 503;
    int both = 0;
    for (int i = 0; i < 20; ++i) {
      link_.asked.clear();
      const int status = answered(request("POST", "/v1/certificates/01/revoke"))->status();
      const bool unknown = std::ranges::count(link_.asked, std::size_t{0}, &Asked::node) > 0;
      EXPECT_EQ(status, unknown ? 504 : 503) << "503 says that nothing was done";
      both += unknown && link_.asked.size() == 2 ? 1 : 0;
    }
    EXPECT_GT(both, 0);
  }
}

TEST_F(ForwarderTest, WhoIsSentElsewhereRepeatsNothing) {
  begin(2);
  link_.nodes[0].status = 503;
  link_.nodes[0].header = kElsewhere;
  for (int i = 0; i < 200; ++i) EXPECT_EQ(answered(request("POST", "/v1/queued/1"))->status(), 200);
  EXPECT_EQ(counters_.retries, 0u);
}

TEST_F(ForwarderTest, ANodeWithoutAShareIsAskedForNothingWhileAnotherStandsWellAndForAllWhenNoneDoes) {
  begin(2);
  const auto give = [&](int percent, std::uint64_t revision) {
    Shares shares;
    shares.nodes = {{"east/2", percent}};
    shares.revision = revision;
    shares_->said(shares_->questions()[0], to_json(shares));
  };
  const auto ask_all = [&] {
    for (int i = 0; i < 60; ++i) {
      // Other regions' edges and name servers ask the last three all the time.
      for (const char* path : {"/v1/certificates/01", "/v1/failover/shares", "/v1/health", "/v1/capacity"})
        EXPECT_EQ(answered(request("GET", path))->status(), 200) << path;
      EXPECT_EQ(answered(request("POST", "/v1/certificates"))->status(), 200);
      EXPECT_EQ(answered(request("POST", "/v1/regions/east/drain"))->status(), 200);
    }
  };
  const auto of_second = [&] { return std::ranges::count(link_.asked, std::size_t{1}, &Asked::node); };
  give(0, 1);
  ask_all();
  EXPECT_EQ(of_second(), 0);
  link_.asked.clear();
  link_.nodes[0].error = Code::kUnavailable;
  ask_all();
  EXPECT_GE(of_second(), 360) << "nobody is turned away for a share";
  link_.nodes[0].error.reset();
  give(100, 2);
  for (int i = 0; i < 3; ++i) backends_->checked(0, true);
  loop_.run_for(60s);
  link_.asked.clear();
  ask_all();
  EXPECT_GT(of_second(), 36);
}

TEST_F(ForwarderTest, WithoutAMajorityItIsKeptByTheFirstWhoOffersThat) {
  begin(2);
  for (Node& node : link_.nodes) {
    node.status = 503;
    node.header = kMayQueue;
  }
  const auto answer = answered(request("POST", "/v1/certificates"));
  EXPECT_EQ(answer->status(), 503);
  EXPECT_FALSE(answer->response->headers.find(kMayQueue)) << "that is between edge and node";
  ASSERT_EQ(link_.asked.size(), 3u);
  EXPECT_EQ(link_.asked[2].queue, "yes");
  EXPECT_EQ(link_.asked[2].node, link_.asked[0].node);
  EXPECT_EQ(backends_->with([](Upstream& u, Instant) { return u.limit(Distance::kRegion); }), 128) << "no load";
}

TEST_F(ForwarderTest, AReadThatTakesLongIsAskedForTwiceAndTheFirstAnswerCounts) {
  begin(2);
  warm();
  link_.nodes[0].delay = link_.nodes[1].delay = 3s;
  const Instant sent = loop_.now();
  const auto answer = send(request("GET", "/v1/certificates/01"));
  const std::size_t first = link_.asked.at(0).node;
  link_.nodes[1 - first].delay = 2ms;
  loop_.run_for(1s);
  ASSERT_EQ(answer->status(), 200);
  EXPECT_LT(answer->at - sent, 20ms);
  ASSERT_EQ(link_.asked.size(), 2u);
  EXPECT_NE(link_.asked[1].node, first);
  EXPECT_EQ(counters_.of(Criticality::kIssuance).hedges_won, 1u);
  EXPECT_EQ(in_flight(), 0) << "the place of the one that lost is free";
  loop_.run_for(15s);
  EXPECT_EQ(in_flight(), 0) << "and is not given back twice";
}

TEST_F(ForwarderTest, TheFirstIsNotGivenUpForItsCopy) {
  begin(3);
  warm();
  for (Node& node : link_.nodes) node.delay = 900ms;  // all of them: a quorum is far away now
  const Instant sent = loop_.now();
  const auto answer = answered(request("GET", "/v1/certificates/01"));
  EXPECT_EQ(answer->status(), 200);
  EXPECT_EQ(answer->at - sent, 900ms);
  EXPECT_EQ(link_.asked.size(), 2u) << "and no third one";
}

TEST_F(ForwarderTest, WhatCannotBeTwiceAtTheSameTimeIsNot) {
  begin(2);
  warm();
  link_.nodes[0].delay = link_.nodes[1].delay = 3s;
  EXPECT_EQ(answered(request("POST", "/acme/new-order"))->status(), 200);
  EXPECT_EQ(answered(request("POST", "/v1/certificates"))->status(), 200);
  EXPECT_EQ(link_.asked.size(), 2u);
}

TEST_F(ForwarderTest, InAnOverloadTheLeastAreTurnedAwayAfterAMomentAndTheProtectedAreNot) {
  begin(1, 4);
  link_.nodes[0].delay = 500ms;
  std::vector<std::shared_ptr<Answer>> listings, lists;
  for (int i = 0; i < 6; ++i) listings.push_back(send(request("GET", "/v1/certificates")));
  for (int i = 0; i < 10; ++i) lists.push_back(send(request("GET", "/crl/east.crl")));
  loop_.run_for(40ms);
  EXPECT_EQ(link_.asked.size(), 12u) << "0.4 of 4 are two listings; the protected are let in";
  int turned_away = 0;
  loop_.run_for(20ms);
  for (const auto& one : listings) turned_away += one->status() == 503 ? 1 : 0;
  EXPECT_EQ(turned_away, 4) << "after 50 ms";
  EXPECT_EQ(listings[5]->response->headers.get("Retry-After"), "30");
  EXPECT_EQ(listings[5]->response->headers.get("Content-Type"), "application/problem+json");
  loop_.run_for(1s);
  for (const auto& one : lists) EXPECT_EQ(one->status(), 200);
  EXPECT_EQ(counters_.of(Criticality::kListing).overload, 4u);
  EXPECT_EQ(in_flight(), 0);
}

TEST_F(ForwarderTest, WhoWaitsIsLetInWhenAPlaceIsFree) {
  begin(1, 4);
  link_.nodes[0].delay = 30ms;
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(send(request("POST", "/v1/certificates")));
  EXPECT_EQ(link_.asked.size(), 3u) << "0.75 of 4";
  loop_.run_for(31ms);
  EXPECT_EQ(link_.asked.size(), 5u);
  loop_.run_for(100ms);
  for (const auto& one : answers) EXPECT_EQ(one->status(), 200);
  const auto& counts = counters_.of(Criticality::kIssuance);
  EXPECT_EQ(counts.waited, 2u);
  EXPECT_EQ(counts.waited_us, 60'000u);
  // And the next, as if none had waited.
  link_.asked.clear();
  for (int i = 0; i < 5; ++i) send(request("POST", "/v1/certificates"));
  EXPECT_EQ(link_.asked.size(), 3u);
}

TEST_F(ForwarderTest, ADeadlineOfAnotherEdgeHoldsAndAStrangersIsNone) {
  begin(2);
  for (Node& node : link_.nodes) node.delay = 20s;
  const auto with = [&](std::string_view deadline, bool edge) {
    auto what = request("POST", "/v1/certificates");
    if (edge) what.client_identity = "evercert://c/edge/west/1";
    what.headers.add(kDeadlineHeader, deadline);
    const Instant sent = loop_.now();
    const auto answer = answered(std::move(what));
    return std::pair{answer->status(), answer->at - sent};
  };
  EXPECT_EQ(with("700", true), (std::pair<int, Duration>{504, 700ms}));
  EXPECT_EQ(link_.asked.back().deadline, "700") << "the node is told";
  EXPECT_EQ(with("700", false), (std::pair<int, Duration>{504, 12s}));
  const auto asked = link_.asked.size();
  EXPECT_EQ(with("20", true).first, 503) << "too late to begin";
  EXPECT_EQ(with("-1", true).first, 400);
  EXPECT_EQ(with("soon", true).first, 400);
  EXPECT_EQ(link_.asked.size(), asked) << "of these nobody was asked for anything";
}

TEST_F(ForwarderTest, WhatIsNeverAnsweredEndsAtTheDeadlineAndAnAnswerThatComesAfterwardsIsNone) {
  begin(2);
  for (Node& node : link_.nodes) node.forgets = true;
  auto what = request("POST", "/v1/certificates");
  what.client_identity = "evercert://c/edge/west/1";
  what.headers.add(kDeadlineHeader, "700");
  const Instant sent = loop_.now();
  const auto answer = answered(std::move(what));
  EXPECT_EQ(answer->status(), 504);
  EXPECT_GE(answer->at - sent, 700ms);
  EXPECT_LE(answer->at - sent, 700ms + Cutoffs::kSweep);
  EXPECT_EQ(in_flight(), 0) << "its place is free";
  ASSERT_EQ(link_.forgotten.size(), 1u);
  link_.forgotten[0](Result<HttpResponse>(HttpResponse{}));
  loop_.run_for(1s);
  EXPECT_EQ(answer->status(), 504);
}

TEST_F(ForwarderTest, AReadThatIsNeverAnsweredIsAnsweredByAnotherNode) {
  begin(2);
  warm();
  link_.nodes[0].forgets = true;
  for (int i = 0; i < 20; ++i) {
    const auto answer = send(request("GET", "/v1/certificates/01"));
    loop_.run_for(4s);
    EXPECT_EQ(answer->status(), 200);
  }
  EXPECT_GE(link_.forgotten.size(), 1u);
}

TEST_F(ForwarderTest, AnAccountsRequestsComeToOneNodeAsLongAsThatIsWell) {
  begin(3);
  const auto nodes_of = [&](const std::string& account, int requests) {
    link_.asked.clear();
    for (int i = 0; i < requests; ++i) {
      auto one = request("POST", "/acme/order/1");
      const std::string header = "{\"kid\":\"https://ca.test/acme/acct/" + account + "\"}";
      one.body = "{\"protected\":\"" + to_base64url(header) + "\"}";
      const auto answer = send(std::move(one));
      loop_.run_for(10ms);
      EXPECT_EQ(answer->status(), 200);
    }
    std::set<std::size_t> asked;
    for (const auto& call : link_.asked) asked.insert(call.node);
    return asked;
  };
  std::set<std::size_t> all;
  for (const char* account : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    const auto one = nodes_of(account, 10);
    EXPECT_EQ(one.size(), 1U) << account;
    all.insert(one.begin(), one.end());
  }
  EXPECT_EQ(all.size(), 3U) << "accounts are spread";
  const std::size_t home = *nodes_of("a", 1).begin();
  link_.nodes[home].error = Code::kUnavailable;
  const auto without = nodes_of("a", 10);
  link_.asked.clear();
  EXPECT_EQ(nodes_of("a", 5).size(), 1U) << "then to the next one of its order";
  EXPECT_FALSE(nodes_of("a", 5).contains(home));
  options_.sticky = Sticky::kOff;
  EXPECT_GE(nodes_of("b", 30).size(), 2U);
}

TEST_F(ForwarderTest, WhatANodeSaysOfARenewalIsForTheEdgeAlone) {
  begin(1);
  link_.nodes[0].header = kRenewal;
  auto issuance = request("POST", "/v1/certificates");
  issuance.body = R"({"replaces":"01"})";
  const auto answer = send(std::move(issuance));
  loop_.run_for(10ms);
  ASSERT_EQ(answer->status(), 200);
  EXPECT_FALSE(answer->response->headers.find(kRenewal));
}

TEST_F(ForwarderTest, WhoComesTooOftenIsToldInTheWordsOfItsProtocol) {
  begin(1);
  const auto come = [&](std::string path) {
    auto what = request("POST", std::move(path));
    what.peer_address = "192.0.2.1";
    return send(std::move(what));
  };
  for (int i = 0; i < 5; ++i) come("/acme/new-order");
  const auto acme = come("/acme/new-order"), rest = come("/v1/certificates");
  EXPECT_EQ(acme->status(), 429);
  EXPECT_NE(acme->response->body.find("urn:ietf:params:acme:error:rateLimited"), std::string::npos);
  EXPECT_GE(std::stoi(acme->response->headers.get("Retry-After")), 1);
  EXPECT_EQ(rest->status(), 429);
  EXPECT_NE(rest->response->body.find("about:blank"), std::string::npos);
}

TEST_F(ForwarderTest, ABodyInPiecesGoesToAnotherNodeUntilAPieceOfItWasAskedFor) {
  begin(2);
  const auto post = [&](std::shared_ptr<Pieces> body) {
    auto what = request("POST", "/v1/certificates");
    what.source = std::move(body);
    return answered(std::move(what));
  };
  for (Node& node : link_.nodes) node.takes_each = 1ms;
  EXPECT_EQ(post(std::make_shared<Pieces>(3, false))->status(), 200);
  link_.nodes[0].error = Code::kUnavailable;
  link_.nodes[0].takes_each = Duration{0};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(post(std::make_shared<Pieces>(3, false))->status(), 200);
  link_.asked.clear();
  for (Node& node : link_.nodes) {
    node.error = Code::kUnknownOutcome;
    node.takes_each = 1ms;
  }
  EXPECT_EQ(post(std::make_shared<Pieces>(3, false))->status(), 504);
  EXPECT_EQ(link_.asked.size(), 1u) << "what one has had a piece of is for no other, whatever id it has";
}

TEST_F(ForwarderTest, EachPieceOfARequestGivesItItsTimeAnew) {
  begin(1);
  link_.nodes[0].takes_each = 4s;
  auto slow = request("POST", "/v1/certificates");
  slow.source = std::make_shared<Pieces>(8, false);
  const auto in_time = send(std::move(slow));
  loop_.run_for(40s);
  EXPECT_EQ(in_time->status(), 200) << "32 s in all";
  link_.nodes[0].takes_each = 1ms;
  auto stuck = request("POST", "/v1/certificates");
  stuck.source = std::make_shared<Pieces>(8, false, 13s);
  const Instant sent = loop_.now();
  const auto late = send(std::move(stuck));
  loop_.run_for(40s);
  EXPECT_EQ(late->status(), 504);
  EXPECT_LE(late->at - sent, 12s + Cutoffs::kSweep);
  EXPECT_EQ(in_flight(), 0);
}

TEST_F(ForwarderTest, WhoseAnswerBreaksOffHasFailed) {
  begin(1);
  link_.nodes[0].pieces = 3;
  const auto read = [&](HttpResponse& response) {
    std::optional<Result<std::string>> all;
    scope_.spawn(net::collect(loop_, *response.source, 1000), [&](Result<std::string> body) { all = std::move(body); });
    loop_.run_for(1s);
    return std::move(*all);
  };
  const auto whole = answered(request("GET", "/v1/certificates/01"));
  ASSERT_TRUE(whole->response->source);
  EXPECT_EQ(read(*whole->response)->size(), 30u);
  EXPECT_EQ(counters_.broken_off, 0u);
  link_.nodes[0].breaks = true;
  const auto broken = answered(request("GET", "/v1/certificates/01"));
  ASSERT_TRUE(broken->response->source);
  EXPECT_FALSE(read(*broken->response));
  EXPECT_EQ(counters_.broken_off, 1u);
  EXPECT_EQ(backends_->failures(0), 1u);
}

}  // namespace
}  // namespace evercert::traffic
