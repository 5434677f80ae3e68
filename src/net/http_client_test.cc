// SPDX-License-Identifier: Apache-2.0
#include "net/http_client.h"

#include <future>

#include "base/os/system.h"
#include "net/http_test_server.h"

namespace evercert::net {
namespace {

// The parameter: over TLS.
class HttpClientTest : public HttpServerTest {
 protected:
  Result<HttpResponse> ask(const std::string& method, const std::string& path, Duration timeout = 3s) {
    if (!client_) {
      auto created = HttpClient::create({"127.0.0.1", certificates_.client()});
      EXPECT_TRUE(created);
      client_ = std::move(*created);
    }
    HttpCall call;
    call.target = {"127.0.0.1", port_, GetParam(), ""};
    call.method = method;
    call.path = path;
    call.timeout = timeout;
    if (method == "POST") call.body = "some body";
    std::promise<Result<HttpResponse>> answered;
    spawn(client_->fetch(*executor_, call),
          [&](Result<HttpResponse> result) { answered.set_value(std::move(result)); });
    return answered.get_future().get();
  }

  void serve() {
    start();
    port_ = server_->port(GetParam() ? kTls : kPlain);
  }

  std::uint16_t port_ = 1;  // nobody listens there
  std::unique_ptr<os::ThreadExecutor> executor_ = os::ThreadExecutor::start("test");
  std::unique_ptr<HttpClient> client_;
};
INSTANTIATE_TEST_SUITE_P(Plain, HttpClientTest, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, HttpClientTest, ::testing::Values(true));

TEST_P(HttpClientTest, AnswersComeOverOneKeptConnection) {
  options_.max_connections = 1;
  serve();
  for (int i = 0; i < 20; ++i) {
    const auto answer = ask(i % 2 ? "POST" : "GET", "/echo?" + std::to_string(i));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->headers.get("echo"), "yes");
    EXPECT_EQ(answer->body,
              (i % 2 ? "POST /echo?" : "GET /echo?") + std::to_string(i) + (i % 2 ? "\nsome body" : "\n"));
  }
}

TEST_P(HttpClientTest, ALargeAnswerComesWholeOrNotAtAll) {
  serve();
  const auto whole = ask("GET", "/big");
  EXPECT_EQ(whole.error().code, Code::kUnknownOutcome) << "larger than max_response_bytes";
  big_ = std::make_shared<const std::string>(test_bytes(3 << 20));
  const auto smaller = ask("GET", "/big");
  ASSERT_TRUE(smaller);
  EXPECT_EQ(smaller->body, *big_);
}

TEST_P(HttpClientTest, WhereNobodyListensNothingWasDone) {
  const auto answer = ask("POST", "/echo");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
}

TEST_P(HttpClientTest, ARequestWithoutAnAnswerInTimeHasAnUnknownOutcome) {
  serve();
  const auto answer = ask("POST", "/later", 100ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnknownOutcome);
  gate_.open();
}

TEST_P(HttpClientTest, AServerThatGoesWhileItWorksLeavesAnUnknownOutcome) {
  serve();
  std::thread killer([&] {
    gate_.wait_for(1);
    server_.reset();
  });
  const auto answer = ask("POST", "/later");
  killer.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnknownOutcome);
}

TEST_P(HttpClientTest, ASafeRequestOnAConnectionThatWasClosedMeanwhileIsSentAgain) {
  options_.idle_timeout = 50ms;
  serve();
  ASSERT_TRUE(ask("GET", "/1"));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto again = ask("GET", "/2");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->body, "GET /2\n");
}

TEST_P(HttpClientTest, NothingIsSentOnAConnectionThatWasClosedMeanwhile) {
  options_.idle_timeout = 50ms;
  serve();
  ASSERT_TRUE(ask("GET", "/1"));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto again = ask("POST", "/echo?2");
  ASSERT_TRUE(again) << again.error().message;
  server_.reset();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(ask("POST", "/echo?3").error().code, Code::kUnavailable) << "it is known that nothing was done";
}

}  // namespace
}  // namespace evercert::net
