// SPDX-License-Identifier: Apache-2.0
// Links over real sockets on loopback, with TLS and identities made for the test.
#include "net/http_client.h"
#include "net/link_test_world.h"

namespace evercert::net {
namespace {

TEST_F(Link, RequestsAreAnsweredAndBothEndsKnowWhoTheOtherIs) {
  connect(client_options(port_));
  const auto answer = ask("/hello?x", "body");
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "/hello?xbody");
  EXPECT_EQ(answer->headers.get("X-From"), kEdge);
  EXPECT_EQ(ask("/missing")->status, 404);
  EXPECT_EQ(ask("/large")->body.size(), 3u << 20);
}

TEST_F(Link, ACallFromAnyOtherThreadIsAnsweredThere) {
  connect(client_options(port_));
  auto executor = os::ThreadExecutor::start("other");
  std::promise<Result<HttpResponse>> answered;
  LinkCall call;
  call.target = "/elsewhere";
  spawn(client_->call(*executor, 0, call, 2s), [&](Result<HttpResponse> r) { answered.set_value(std::move(r)); });
  EXPECT_EQ(answered.get_future().get()->body, "/elsewhere");
}

TEST_F(Link, AQuestionOfTheEdgeItselfGoesToItsOwnHandler) {
  connect(client_options(port_));
  std::promise<Result<HttpResponse>> answered;
  LinkCall call;
  call.method.clear();
  call.target = "news";
  asio::post(caller_->context, [&] {
    spawn(client_->call(caller_->executor, 0, call, 2s),
          [&](Result<HttpResponse> r) { answered.set_value(std::move(r)); });
  });
  EXPECT_EQ(answered.get_future().get()->body, "asked for news");
}

TEST_F(Link, ThousandsInFlightAreEachAnsweredWithTheirOwn) {
  connect(client_options(port_));
  std::vector<std::future<Result<HttpResponse>>> answers;
  for (int i = 0; i < 5000; ++i) answers.push_back(begin("/n/" + std::to_string(i), std::string(i % 700, 'b')));
  for (int i = 0; i < 5000; ++i) {
    const auto answer = answers[static_cast<std::size_t>(i)].get();
    ASSERT_TRUE(answer.has_value()) << i << ": " << answer.error().message;
    ASSERT_EQ(answer->body, "/n/" + std::to_string(i) + std::string(i % 700, 'b'));
  }
}

TEST_F(Link, ASlowAnswerHoldsUpNoOther) {
  connect(client_options(port_));
  auto slow = begin("/slow?700");
  EXPECT_EQ(ask("/quick")->body, "/quick");
  EXPECT_EQ(slow.wait_for(1ms), std::future_status::timeout);
  // The peer is alive although nothing is heard but the answers to pings for longer than `silence`.
  EXPECT_EQ(slow.get()->body, "/slow?700");
}

TEST_F(Link, APeerThatIsKilledMidRequestLeavesTheOutcomeUnknown) {
  LinkRelay relay(port_);
  connect(client_options(relay.port()));
  ASSERT_TRUE(ask("/first").has_value());
  auto waiting = begin("/slow?600");
  while (served_ < 2) std::this_thread::sleep_for(1ms);
  relay.break_connections();
  const auto answer = waiting.get();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kUnknownOutcome);
  // The very next call is on a new connection.
  EXPECT_EQ(ask("/again")->body, "/again");
}

TEST_F(Link, WithoutAConnectionNothingWasDone) {
  auto options = client_options(port_);
  server_.reset();
  connect(options);
  for (int i = 0; i < 3; ++i) {
    const auto answer = ask("/");
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, Code::kUnavailable);
  }
  serve(kNode);
  const auto end = std::chrono::steady_clock::now() + 3s;
  while (!ask("/back").has_value() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(ask("/back")->body, "/back");
}

TEST_F(Link, APeerThatGoesSilentIsGivenUpSoon) {
  LinkRelay relay(port_);
  connect(client_options(relay.port()));
  ASSERT_TRUE(ask("/first").has_value());
  relay.go_silent();
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = ask("/swallowed");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kUnknownOutcome);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 1500ms);
}

TEST_F(Link, ADeadlineThatPassesLeavesTheOutcomeUnknownAndTheConnectionAlive) {
  connect(client_options(port_));
  ASSERT_TRUE(ask("/first").has_value());
  const auto answer = ask("/slow?1000", "", 150ms);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kUnknownOutcome);
  EXPECT_EQ(ask("/next")->body, "/next");
}

TEST_F(Link, WhatIsBeyondTheLimitsIsRefusedAndNothingIsDone) {
  auto options = client_options(port_);
  options.max_in_flight = 3;
  connect(options);
  ASSERT_TRUE(ask("/first").has_value());
  std::vector<std::future<Result<HttpResponse>>> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(begin("/slow?200"));
  int refused = 0;
  for (auto& answer : answers) {
    const auto got = answer.get();
    if (got) continue;
    EXPECT_EQ(got.error().code, Code::kUnavailable);
    ++refused;
  }
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(served_, 4);
  EXPECT_EQ(ask("/", std::string(5 << 20, 'x')).error().code, Code::kInvalid);
}

TEST_F(Link, AStrangersCertificateIsNotLetIn) {
  auto options = client_options(port_);
  options.tls = identities_.of("evercert://test/operator/admin");
  connect(options);
  EXPECT_FALSE(ask("/").has_value());
  LinkIdentities others;
  options.tls = others.of(kEdge);
  connect(options);
  EXPECT_FALSE(ask("/").has_value());
  EXPECT_EQ(served_, 0);
}

TEST_F(Link, AServerThatIsNoNodeIsNotTalkedTo) {
  server_.reset();
  serve("evercert://test/edge/r/2");
  connect(client_options(port_));
  const auto answer = ask("/secret");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_EQ(served_, 0);
}

TEST_F(Link, BytesThatAreNoFrameEndTheConnectionAndNothingElse) {
  connect(client_options(port_));
  // Plain HTTP over the same TLS identity: its first four bytes are a length beyond every limit.
  auto client = HttpClient::create({"", identities_.of(kEdge), 4, 5s}).value();
  HttpCall call;
  call.target = {"127.0.0.1", port_, true, "127.0.0.1"};
  std::promise<Result<HttpResponse>> answered;
  asio::post(caller_->context, [&] {
    spawn(client->fetch(caller_->executor, call), [&](Result<HttpResponse> r) { answered.set_value(std::move(r)); });
  });
  EXPECT_FALSE(answered.get_future().get().has_value());
  EXPECT_EQ(ask("/fine")->body, "/fine");
  caller_.reset();
}

TEST_F(Link, ADrainingNodeRefusesWhatIsNewAndAnswersWhatIsUnderWay) {
  connect(client_options(port_));
  auto slow = begin("/slow?300");
  while (served_ < 1) std::this_thread::sleep_for(1ms);
  auto draining = std::async(std::launch::async, [&] { server_->drain(3s); });
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(ask("/new")->status, 503);
  EXPECT_EQ(slow.get()->status, 200);
  draining.get();
}

TEST_F(Link, StoppingDestroysHandlersThatStillWaitAndALateAnswerDoesNothing) {
  connect(client_options(port_));
  auto first = begin("/held"), second = begin("/held");
  for (int i = 0; i < 500 && held_ < 2; ++i) std::this_thread::sleep_for(10ms);
  ASSERT_EQ(held_, 2);
  server_->stop(20ms);
  EXPECT_EQ(held_destroyed_, 2) << "what they hold is free";
  let_go();
  server_.reset();
  EXPECT_EQ(first.get().error().code, Code::kUnknownOutcome);
  EXPECT_EQ(second.get().error().code, Code::kUnknownOutcome);
}

TEST_F(Link, StoppingWaitsForWhatComesToItsEndInTime) {
  connect(client_options(port_));
  auto slow = begin("/slow?200");
  for (int i = 0; i < 500 && served_ < 1; ++i) std::this_thread::sleep_for(1ms);
  server_->stop(5s);
  EXPECT_EQ(slow.get()->body, "/slow?200");
}

TEST_F(Link, AnAnswerThatComesWhenTheServerIsGoneDoesNothing) {
  connect(client_options(port_));
  auto held = begin("/held");
  for (int i = 0; i < 500 && held_ < 1; ++i) std::this_thread::sleep_for(10ms);
  server_.reset();
  EXPECT_EQ(held_destroyed_, 1);
  let_go();
  EXPECT_FALSE(held.get().has_value());
}

}  // namespace
}  // namespace evercert::net
