// SPDX-License-Identifier: Apache-2.0
// Bodies in pieces through the client, either way.
#include <future>

#include "base/os/system.h"
#include "net/asio_runtime.h"
#include "net/body.h"
#include "net/http_client.h"
#include "net/http_test_server.h"

namespace evercert::net {
namespace {

// `text` in pieces of so many bytes; then it ends, or breaks.
class Text final : public BodySource {
 public:
  Text(std::string text, std::size_t each, bool breaks, std::atomic<int>& asked)
      : text_(std::move(text)), each_(each), breaks_(breaks), asked_(asked) {}
  Task<Result<std::string>> next(Executor&) override {
    ++asked_;
    std::string piece = text_.substr(at_, each_);
    at_ += piece.size();
    if (piece.empty() && breaks_) co_return fail(Code::kExpired, "as planned");
    co_return piece;
  }
  void give_up() override {}

 private:
  const std::string text_;
  const std::size_t each_;
  const bool breaks_;
  std::atomic<int>& asked_;
  std::size_t at_ = 0;
};

// The parameter: over TLS.
class HttpClientPiecesTest : public HttpServerTest {
 protected:
  ~HttpClientPiecesTest() override { thread_->stop(); }

  void serve() {
    options_.max_body_bytes = 10'000;
    options_.max_body_in_pieces = 100'000'000;
    auto started = HttpServer::start(options_, [this](HttpRequest request) { return answer(std::move(request)); });
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
    auto created = HttpClient::create({"127.0.0.1", certificates_.client()});
    ASSERT_TRUE(created);
    client_ = std::move(*created);
  }
  Task<HttpResponse> answer(HttpRequest request) {
    HttpResponse response;
    if (request.path == "/give" || request.path == "/chunks" || request.path == "/break") {
      const std::size_t size = std::stoul(request.query);
      response.source = std::make_shared<Text>(test_bytes(size), 7'000, request.path == "/break", asked_);
      if (request.path == "/give") response.length = size;
      co_return response;
    }
    std::string all = request.body;
    if (request.source) {
      auto taken = co_await collect(*request.executor, *request.source, 100'000'000);
      if (!taken) {
        ++broken_;
        co_return problem(400, "Bad Request", taken.error().message);
      }
      all = std::move(*taken);
    }
    response.body = std::to_string(all.size()) + (all == test_bytes(all.size()) ? " right " : " wrong ") +
                    (request.length ? std::to_string(*request.length) : "-");
    co_return response;
  }
  HttpCall call(const std::string& path) {
    HttpCall out;
    out.target = {"127.0.0.1", server_->port(GetParam() ? kTls : kPlain), GetParam(), ""};
    out.path = path;
    out.timeout = 3s;
    out.whole_below = 10'000;
    return out;
  }
  // On a thread as that of an HttpServer. The answer's source, if it has one, is read there.
  struct Got {
    Result<HttpResponse> response = fail(Code::kInternal, "");
    bool in_pieces = false;
  };
  Task<Got> fetch(HttpCall what) {
    Got got;
    got.response = co_await client_->fetch(thread_->executor, std::move(what));
    if (!got.response || !got.response->source) co_return got;
    got.in_pieces = true;
    auto body = co_await collect(thread_->executor, *got.response->source, 100'000'000);
    got.response->source.reset();
    if (!body) {
      got.response = fail(body.error());
      co_return got;
    }
    got.response->body = std::move(*body);
    co_return got;
  }
  Got ask(HttpCall what) {
    std::promise<Got> promise;
    asio::post(thread_->context,
               [&] { spawn(fetch(std::move(what)), [&](Got got) { promise.set_value(std::move(got)); }); });
    return promise.get_future().get();
  }
  HttpCall upload(std::size_t size, bool length, bool breaks = false) {
    HttpCall out = call("/take");
    out.method = "POST";
    out.source = std::make_shared<Text>(test_bytes(size), 30'000, breaks, given_);
    if (length) out.length = size;
    return out;
  }

  std::atomic<int> asked_{0}, given_{0}, broken_{0};
  std::unique_ptr<HttpClient> client_;
  std::unique_ptr<AsioThread> thread_ = std::make_unique<AsioThread>("caller");
};
INSTANTIATE_TEST_SUITE_P(Plain, HttpClientPiecesTest, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, HttpClientPiecesTest, ::testing::Values(true));

TEST_P(HttpClientPiecesTest, ALargeAnswerComesInPiecesAndTheConnectionIsKept) {
  options_.max_connections = 1;
  serve();
  for (const auto& [path, in_pieces] : {std::pair{"/give?9000", false},
                                        {"/give?3000000", true},
                                        {"/chunks?3000000", true},
                                        {"/chunks?10", true},
                                        {"/give?0", false}}) {
    const Got got = ask(call(path));
    ASSERT_TRUE(got.response) << path << ": " << got.response.error().message;
    EXPECT_EQ(got.in_pieces, in_pieces) << path;
    const auto size = std::stoul(std::string(path).substr(std::string(path).find('?') + 1));
    EXPECT_EQ(got.response->body, test_bytes(size)) << path;
  }
}

TEST_P(HttpClientPiecesTest, WhatBreaksOffIsNoWholeOne) {
  serve();
  const Got got = ask(call("/break?300000"));
  ASSERT_FALSE(got.response);
  EXPECT_TRUE(got.in_pieces);
}

TEST_P(HttpClientPiecesTest, ARequestGoesInPieces) {
  serve();
  EXPECT_EQ(ask(upload(3'000'000, true)).response->body, "3000000 right 3000000");
  EXPECT_EQ(ask(upload(3'000'000, false)).response->body, "3000000 right -");
  EXPECT_EQ(ask(upload(0, true)).response->body, "0 right -");
  EXPECT_EQ(ask(upload(0, false)).response->body, "0 right -");
}

TEST_P(HttpClientPiecesTest, ARequestThatBreaksOffIsNoWholeOne) {
  serve();
  EXPECT_FALSE(ask(upload(300'000, false, true)).response);
  HttpCall longer = upload(300'000, true);
  longer.length = 400'000;
  EXPECT_FALSE(ask(std::move(longer)).response);
  for (int i = 0; i < 500 && broken_ < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(broken_, 2);
}

TEST_P(HttpClientPiecesTest, WithoutAConnectionNothingIsAskedOfABody) {
  serve();
  HttpCall nowhere = upload(300'000, true);
  nowhere.target.port = 1;
  EXPECT_EQ(ask(std::move(nowhere)).response.error().code, Code::kUnavailable);
  EXPECT_EQ(given_, 0);
}

TEST_P(HttpClientPiecesTest, ACallOfAnotherThreadGetsTheWhole) {
  serve();
  auto executor = os::ThreadExecutor::start("other");
  std::promise<Result<HttpResponse>> promise;
  spawn(client_->fetch(*executor, call("/give?300000")),
        [&](Result<HttpResponse> result) { promise.set_value(std::move(result)); });
  const auto whole = promise.get_future().get();
  ASSERT_TRUE(whole);
  EXPECT_FALSE(whole->source);
  EXPECT_EQ(whole->body.size(), 300'000u);
}

}  // namespace
}  // namespace evercert::net
