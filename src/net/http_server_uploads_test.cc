// SPDX-License-Identifier: Apache-2.0
// Requests that come in pieces, in both versions of HTTP.
#include "net/body.h"
#include "net/http2_test_peer.h"
#include "net/http_test_server.h"
#include "net/upload_test.h"

namespace evercert::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Peer = Http2TestPeer;

class HttpServerUploadsTest : public HttpServerTest {
 protected:
  std::unique_ptr<TestClient> begin(std::string_view protocols = {}) {
    if (!server_) {
      options_.max_body_bytes = 10'000;
      options_.max_body_in_pieces = 100'000'000;
      auto started = HttpServer::start(options_, [this](HttpRequest request) { return take(std::move(request)); });
      EXPECT_TRUE(started) << started.error().message;
      server_ = std::move(*started);
    }
    const std::optional<TestClient::Tls> tls =
        GetParam() ? std::optional(TestClient::Tls{{}, 0, nullptr, protocols}) : std::nullopt;
    return std::make_unique<TestClient>(server_->port(GetParam() ? kTls : kPlain), tls);
  }
  Task<HttpResponse> take(HttpRequest request) {
    HttpResponse response;
    const TestGuard guard(ended_);
    ++handled_;
    if (request.path == "/early") {
      response.status = 413;
      co_return response;
    }
    if (request.path == "/late") {
      auto begin = [this](auto resolve) { gate_.wait(std::move(resolve)); };
      auto later = suspend_on<bool>(*request.executor, begin);
      co_await later;
    }
    if (request.path == "/echo") {
      response.source = request.source;
      co_return response;
    }
    std::string all = request.body;
    const auto each = [&](const std::string& piece) {
      all += piece;
      got_ += piece.size();
    };
    auto reading = read_pieces(request, each);
    const Status read = co_await std::move(reading);
    if (!read) {
      ++broken_;
      co_return problem(400, "Bad Request", read.error().message);
    }
    const bool right = all == test_bytes(all.size());
    response.body = std::string(request.source ? "pieces " : "whole ") + std::to_string(all.size()) +
                    (right ? " right " : " wrong ") + (request.length ? std::to_string(*request.length) : "-");
    co_return response;
  }
  static std::string head(const std::string& path, std::size_t length, const std::string& more = {}) {
    return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(length) + "\r\n" + more +
           "\r\n";
  }
  static std::string chunked(std::size_t size, std::size_t each) {
    std::string out;
    const std::string all = test_bytes(size);
    for (std::size_t at = 0; at < size; at += each) {
      const std::string some = all.substr(at, each);
      char line[20];
      ::snprintf(line, sizeof line, "%zx\r\n", some.size());
      out += line + some + "\r\n";
    }
    return out + "0\r\n\r\n";
  }
  template <class F>
  static bool comes(F&& f) {
    for (int i = 0; i < 500 && !f(); ++i) std::this_thread::sleep_for(milliseconds(10));
    return f();
  }
  std::atomic<std::size_t> got_{0};
  std::atomic<int> broken_{0};
};
INSTANTIATE_TEST_SUITE_P(Plain, HttpServerUploadsTest, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, HttpServerUploadsTest, ::testing::Values(true));

TEST_P(HttpServerUploadsTest, WhatIsLargeComesInPiecesAndTheConnectionGoesOn) {
  const auto client = begin();
  for (const std::size_t size : {10'000, 10'001, 70'000, 5'000'000}) {
    ASSERT_TRUE(client->send(head("/take", size) + test_bytes(size) + head("/take", 3) + test_bytes(3)));
    const std::string length = std::to_string(size);
    EXPECT_EQ(client->answer().body, size > 10'000 ? "pieces " + length + " right " + length : "whole 10000 right -");
    EXPECT_EQ(client->answer().body, "whole 3 right -");
  }
}

TEST_P(HttpServerUploadsTest, WithoutALengthItIsFoundOutOnTheWay) {
  const auto client = begin();
  const std::string begin_line = "POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::size_t each : {7, 5'000, 100'000}) {
    ASSERT_TRUE(client->send(begin_line + chunked(400'000, each) + head("/take", 3) + test_bytes(3)));
    EXPECT_EQ(client->answer().body, "pieces 400000 right -") << each;
    EXPECT_EQ(client->answer().body, "whole 3 right -");
  }
}

TEST_P(HttpServerUploadsTest, WhoAsksFirstIsToldToGoOn) {
  const auto client = begin();
  ASSERT_TRUE(client->send(head("/take", 20'000, "Expect: 100-continue\r\n")));
  EXPECT_EQ(client->answer().status, 100);
  ASSERT_TRUE(client->send(test_bytes(20'000)));
  EXPECT_EQ(client->answer().body, "pieces 20000 right 20000");
}

TEST_P(HttpServerUploadsTest, WhatTheHandlerDoesNotReadIsNotReadFromTheSocket) {
  const auto client = begin();
  std::atomic<std::size_t> sent{0};
  std::thread sender([&] {
    client->send(head("/late", 60'000'000));
    const std::string all = test_bytes(60'000'000);
    for (std::size_t at = 0; at < all.size(); at += 100'000, sent = at)
      client->send(std::string_view(all).substr(at, 100'000));
  });
  ASSERT_TRUE(gate_.wait_for(1));
  std::size_t before = 1;
  for (int i = 0; i < 100 && before != sent; ++i) {
    before = sent;
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_LT(sent, 30'000'000u) << "what the kernel takes, and little more";
  gate_.open();
  sender.join();
  EXPECT_EQ(client->answer().body, "pieces 60000000 right 60000000");
}

TEST_P(HttpServerUploadsTest, AnAnswerBeforeTheEndIsHeardAndEndsTheConnection) {
  const auto client = begin();
  ASSERT_TRUE(client->send(head("/early", 1'000'000) + test_bytes(500'000)));
  const auto answer = client->answer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_TRUE(answer.has("Connection: close")) << "the rest is in the way";
  EXPECT_TRUE(client->closed_within(seconds(5)));
}

TEST_P(HttpServerUploadsTest, WhoIsRefusedNeedNotSendAByteOfTheBody) {
  const auto client = begin();
  ASSERT_TRUE(client->send(head("/early", 1'000'000)));
  EXPECT_EQ(client->answer().status, 413);
}

TEST_P(HttpServerUploadsTest, AnAnswerMayGoOutWhileTheRequestComes) {
  const auto client = begin();
  const std::string all = test_bytes(3'000'000);
  std::thread sender([&] { client->send(head("/echo", all.size()) + all); });
  if (GetParam()) sender.join();  // OpenSSL has one thread for a connection; the kernel holds it
  std::string got;
  while (got.find("0\r\n\r\n") == std::string::npos || !got.ends_with("0\r\n\r\n")) {
    const auto some = client->some();
    if (some.empty()) break;
    got += some;
  }
  if (sender.joinable()) sender.join();
  EXPECT_GT(got.size(), all.size());
  EXPECT_TRUE(got.ends_with("0\r\n\r\n"));
}

TEST_P(HttpServerUploadsTest, WhatIsTooLargeOrBrokenIsNoWholeRequest) {
  auto client = begin();
  ASSERT_TRUE(client->send(head("/take", 100'000'001)));
  EXPECT_EQ(client->answer().status, 413);
  client = begin();
  ASSERT_TRUE(client->send("POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n" +
                           test_bytes(20'000)));
  EXPECT_TRUE(comes([&] { return got_ >= 20'000; }));
  ASSERT_TRUE(client->send("\r\nno chunk\r\n"));
  EXPECT_EQ(client->answer().status, 400);
  EXPECT_EQ(broken_, 1);
  client = begin();
  ASSERT_TRUE(client->send(head("/take", 50'000) + test_bytes(20'000)));
  EXPECT_TRUE(comes([&] { return got_ >= 40'000; }));
  client->reset();
  EXPECT_TRUE(comes([&] { return broken_ == 2; })) << "the client is gone in the middle";
}

TEST_P(HttpServerUploadsTest, WhoSendsHardlyAnythingIsNotWaitedFor) {
  options_.header_timeout = milliseconds(200);
  options_.least_write_rate = 10'000;
  const auto client = begin();
  ASSERT_TRUE(client->send(head("/take", 50'000) + test_bytes(20'000)));
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    while (!stop && client->send("x")) std::this_thread::sleep_for(milliseconds(20));
  });
  EXPECT_TRUE(comes([&] { return broken_ == 1; }));
  stop = true;
  sender.join();
  EXPECT_EQ(client->answer().status, 400);
}

class Http2UploadsTest : public HttpServerUploadsTest {
 protected:
  std::unique_ptr<TestClient> hello() {
    auto client = begin("\x02h2");
    client->send(Peer::hello());
    return client;
  }
  void take_some(TestClient& client) { peer_.take(client.some()); }
  const Peer::Answer& answer_at(TestClient& client, std::int32_t stream) {
    const Peer::Answer& one = peer_.answers[stream];
    while (!one.ended && !one.was_reset) {
      const auto bytes = client.some();
      if (bytes.empty()) break;
      peer_.take(bytes);
    }
    return one;
  }
  // As the server's windows allow; stops when it is held up for a moment. How much of it was sent.
  std::size_t upload(TestClient& client, std::int32_t stream, std::size_t size, std::size_t from = 0) {
    const std::string all = test_bytes(size);
    for (std::size_t at = from; at < size;) {
      std::size_t granted = 65'535, of_all = 65'535;
      for (const auto& frame : peer_.frames) {
        if (frame.type != NGHTTP2_WINDOW_UPDATE) continue;
        if (frame.stream == stream) granted += frame.number(0);
        if (frame.stream == 0) of_all += frame.number(0);
      }
      const std::size_t may = std::min({granted - at, of_all - sent_, size - at, std::size_t{16'000}});
      if (may > 0) {
        client.send(Peer::data(stream, all.substr(at, may), at + may == size));
        at += may;
        sent_ += may;
      } else if (client.silent_for(milliseconds(300))) {
        return at;
      } else {
        take_some(client);
      }
    }
    return size;
  }
  static std::string post(std::int32_t stream, const std::string& path) {
    return Peer::headers(stream, Peer::request_fields("POST", path), false);
  }
  Peer peer_;
  std::size_t sent_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Tls, Http2UploadsTest, ::testing::Values(true));

TEST_P(Http2UploadsTest, WhatIsLargeComesInPieces) {
  const auto client = hello();
  client->send(post(1, "/take"));
  EXPECT_EQ(upload(*client, 1, 3'000'000), 3'000'000u);
  EXPECT_EQ(answer_at(*client, 1).body, "pieces 3000000 right -");
  client->send(post(3, "/take"));
  EXPECT_EQ(upload(*client, 3, 10'000), 10'000u);
  EXPECT_EQ(answer_at(*client, 3).body, "whole 10000 right -");
  client->send(Peer::headers(5, Peer::request_fields("POST", "/take", {{"content-length", "200000"}}), false));
  EXPECT_EQ(upload(*client, 5, 200'000), 200'000u);
  EXPECT_EQ(answer_at(*client, 5).body, "pieces 200000 right 200000");
}

TEST_P(Http2UploadsTest, AStreamWhoseHandlerDoesNotReadHoldsItsWindowAndHoldsUpNoOther) {
  const auto client = hello();
  client->send(post(1, "/late"));
  const std::size_t stuck = upload(*client, 1, 3'000'000);
  EXPECT_LE(stuck, 10'000u + 2 * 65'536);
  client->send(post(3, "/take"));
  EXPECT_EQ(upload(*client, 3, 2'000'000), 2'000'000u);
  EXPECT_EQ(answer_at(*client, 3).body, "pieces 2000000 right -");
  gate_.open();
  EXPECT_EQ(upload(*client, 1, 3'000'000, stuck), 3'000'000u);
  EXPECT_EQ(answer_at(*client, 1).body, "pieces 3000000 right -");
}

TEST_P(Http2UploadsTest, AnEarlyAnswerIsHeardAndAStreamThatIsGivenUpIsBroken) {
  const auto client = hello();
  client->send(post(1, "/early"));
  upload(*client, 1, 50'000);
  client->send(post(3, "/take"));
  upload(*client, 3, 60'000);
  EXPECT_EQ(answer_at(*client, 1).status(), "413");
  client->send(post(5, "/take") + Peer::data(5, test_bytes(15'000), false));
  EXPECT_TRUE(comes([&] { return got_ >= 75'000; }));
  client->send(Peer::reset(5));
  EXPECT_TRUE(comes([&] { return broken_ == 1; }));
  EXPECT_EQ(answer_at(*client, 3).body, "pieces 60000 right -");
}

TEST_P(Http2UploadsTest, AConnectionThatIsGoneBreaksAllOfThem) {
  const auto client = hello();
  client->send(post(1, "/take") + Peer::data(1, test_bytes(15'000), false) + post(3, "/take") +
               Peer::data(3, test_bytes(12'000), false));
  EXPECT_TRUE(comes([&] { return got_ >= 27'000; }));
  client->reset();
  EXPECT_TRUE(comes([&] { return broken_ == 2; }));
  EXPECT_TRUE(comes([&] { return ended_ == 2; }));
}

TEST_P(Http2UploadsTest, WhoSendsHardlyAnythingIsNotWaitedFor) {
  options_.header_timeout = milliseconds(200);
  const auto client = hello();
  client->send(post(1, "/take") + Peer::data(1, test_bytes(15'000), false));
  EXPECT_TRUE(comes([&] { return broken_ == 1; }));
  EXPECT_EQ(answer_at(*client, 1).status(), "400");
}

}  // namespace
}  // namespace evercert::net
