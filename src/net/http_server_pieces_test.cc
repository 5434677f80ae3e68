// SPDX-License-Identifier: Apache-2.0
// Answers that come in pieces, in both versions of HTTP.
#include "net/body.h"
#include "net/http2_test_peer.h"
#include "net/http_test_server.h"

namespace evercert::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Peer = Http2TestPeer;

struct Seen {
  std::atomic<std::size_t> given{0}, alive{0}, given_up{0}, waiting{0};
};

// `text` in pieces of so many bytes; then it ends, breaks, or never comes back.
class Pieces : public BodySource {
 public:
  enum class Then { kEnds, kBreaks, kWaits };
  Pieces(std::string text, std::size_t each, Then then, Seen& seen)
      : text_(std::move(text)), each_(each), then_(then), seen_(seen) {
    ++seen_.alive;
  }
  ~Pieces() override { --seen_.alive; }

  Task<Result<std::string>> next(Executor& on) override {
    if (turns_++ % 3 == 0) {  // some are at hand, others come later
      auto start = [](auto resolve) { resolve(true); };
      auto later = suspend_on<bool>(on, start);
      co_await later;
    }
    if (at_ < text_.size()) {
      std::string piece = text_.substr(at_, each_);
      at_ += piece.size();
      seen_.given += piece.size();
      co_return piece;
    }
    if (then_ == Then::kBreaks) co_return fail(Code::kUnknownOutcome, "as planned");
    if (then_ == Then::kWaits) {
      auto start = [this](auto resolve) {
        waiting_ = std::move(resolve);
        ++seen_.waiting;
      };
      auto never = suspend_on<bool>(on, start);
      co_await never;
      co_return fail(Code::kUnavailable, "given up");
    }
    co_return std::string();
  }
  void give_up() override {
    ++seen_.given_up;
    if (waiting_) waiting_(true);
  }

 private:
  const std::string text_;
  const std::size_t each_;
  const Then then_;
  Seen& seen_;
  std::size_t at_ = 0, turns_ = 0;
  std::move_only_function<void(bool)> waiting_;
};

class HttpServerPiecesTest : public HttpServerTest {
 protected:
  // The query: bytes, "," bytes of each piece, "," what then, "," 'l' when the length is said.
  std::unique_ptr<TestClient> begin(int receive_buffer = 0, std::string_view protocols = {}) {
    if (!server_) {
      auto started = HttpServer::start(options_, [this](HttpRequest request) { return answer(std::move(request)); });
      EXPECT_TRUE(started) << started.error().message;
      server_ = std::move(*started);
    }
    const std::optional<TestClient::Tls> tls =
        GetParam() ? std::optional(TestClient::Tls{{}, 0, nullptr, protocols}) : std::nullopt;
    return std::make_unique<TestClient>(server_->port(GetParam() ? kTls : kPlain), tls, receive_buffer);
  }
  Task<HttpResponse> answer(HttpRequest request) {
    HttpResponse response;
    std::size_t bytes = 0, each = 0;
    char then = 'e', length = '-';
    ::sscanf(request.query.c_str(), "%zu,%zu,%c,%c", &bytes, &each, &then, &length);
    if (request.path == "/whole") {
      response.body = "whole";
      co_return response;
    }
    const auto what = then == 'b' ? Pieces::Then::kBreaks : then == 'w' ? Pieces::Then::kWaits : Pieces::Then::kEnds;
    response.source = std::make_shared<Pieces>(test_bytes(bytes), each, what, seen_);
    if (length == 'l') response.length = bytes;
    if (length == 'w') response.length = bytes + 1;
    if (request.path == "/nothing") response.status = 204;
    co_return response;
  }
  static std::string pieces(const std::string& query, const std::string& more = {}) {
    return "GET /pieces?" + query + " HTTP/1.1\r\nHost: a\r\n" + more + "\r\n";
  }
  static std::string without_chunks(std::string_view chunked) {
    std::string out;
    for (;;) {
      const auto line = chunked.find("\r\n");
      if (line == std::string_view::npos) return out + "<no end>";
      const std::size_t size = std::stoul(std::string(chunked.substr(0, line)), nullptr, 16);
      chunked.remove_prefix(line + 2);
      if (size == 0) return out;
      out += chunked.substr(0, size);
      chunked.remove_prefix(size + 2);
    }
  }
  // So much of an answer, and its header, has come.
  static bool reads(TestClient& client, std::size_t bytes) {
    std::string got;
    while (got.find("\r\n\r\n") == std::string::npos || got.size() - got.find("\r\n\r\n") - 4 < bytes) {
      const auto some = client.some();
      if (some.empty()) return false;
      got += some;
    }
    return true;
  }
  bool gives(std::size_t bytes) {
    for (int i = 0; i < 500 && seen_.given < bytes; ++i) std::this_thread::sleep_for(milliseconds(10));
    return seen_.given == bytes;
  }
  bool all_gone() {
    for (int i = 0; i < 500 && seen_.alive > 0; ++i) std::this_thread::sleep_for(milliseconds(10));
    return seen_.alive == 0;
  }
  Seen seen_;
};
INSTANTIATE_TEST_SUITE_P(Plain, HttpServerPiecesTest, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, HttpServerPiecesTest, ::testing::Values(true));

TEST_P(HttpServerPiecesTest, PiecesMakeTheWholeAndTheConnectionGoesOn) {
  const auto client = begin();
  for (const std::size_t each : {1000, 20'000, 60'000}) {
    ASSERT_TRUE(client->send(pieces("1000000," + std::to_string(each) + ",e,l") + get("/whole")));
    const auto answer = client->answer();
    EXPECT_TRUE(answer.has("Content-Length: 1000000"));
    EXPECT_EQ(answer.body, test_bytes(1'000'000)) << each;
    EXPECT_EQ(client->answer().body, "whole") << "what waited behind it";
  }
  EXPECT_TRUE(all_gone());
}

TEST_P(HttpServerPiecesTest, WithoutALengthItComesInChunks) {
  const auto client = begin();
  ASSERT_TRUE(client->send(pieces("300000,7000,e", "Connection: close\r\n")));
  const auto all = client->rest();
  ASSERT_TRUE(all);
  EXPECT_NE(all->find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(without_chunks(std::string_view(*all).substr(all->find("\r\n\r\n") + 4)), test_bytes(300'000));
}

TEST_P(HttpServerPiecesTest, AClientOfHttp10LearnsTheEndFromTheConnection) {
  const auto client = begin();
  ASSERT_TRUE(client->send("GET /pieces?300000,7000,e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  const auto all = client->rest();
  ASSERT_TRUE(all);
  EXPECT_EQ(all->find("Transfer-Encoding"), std::string::npos);
  EXPECT_EQ(all->substr(all->find("\r\n\r\n") + 4), test_bytes(300'000));
}

TEST_P(HttpServerPiecesTest, HeadAndStatusesWithoutABodyAskForNoPiece) {
  const auto client = begin();
  ASSERT_TRUE(client->send("HEAD /pieces?5000,10,e,l HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(client->answer(true).has("Content-Length: 5000"));
  ASSERT_TRUE(client->send("HEAD /pieces?5000,10,e HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(client->answer(true).has("Transfer-Encoding: chunked"));
  ASSERT_TRUE(client->send("GET /nothing?5000,10,e HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(client->answer(true).status, 204);
  ASSERT_TRUE(client->send(get("/whole")));
  EXPECT_EQ(client->answer().body, "whole");
  EXPECT_EQ(seen_.given, 0u);
  EXPECT_TRUE(all_gone());
}

TEST_P(HttpServerPiecesTest, WhatBreaksOffNeverPassesForTheWhole) {
  for (const char* how : {"100000,9000,b,w", "100000,9000,e,w", "9000,9000,b,w"}) {
    const auto client = begin();
    ASSERT_TRUE(client->send(pieces(how)));
    EXPECT_EQ(client->answer().status, 0) << how;
  }
  const auto chunked = begin();
  ASSERT_TRUE(chunked->send(pieces("100000,9000,b")));
  const auto all = chunked->rest();
  ASSERT_TRUE(all);
  EXPECT_TRUE(without_chunks(std::string_view(*all).substr(all->find("\r\n\r\n") + 4)).ends_with("<no end>"));
  const auto old = begin();
  ASSERT_TRUE(old->send("GET /pieces?100000,9000,b HTTP/1.0\r\n\r\n"));
  old->rest();
  EXPECT_FALSE(old->clean_end()) << "by a reset alone a client of HTTP/1.0 can tell";
  EXPECT_TRUE(all_gone());
}

TEST_P(HttpServerPiecesTest, WhoDoesNotReadHoldsAPieceOrTwo) {
  const auto client = begin(4096);
  ASSERT_TRUE(client->send(pieces("64000000,50000,e,l")));
  std::size_t before = 1;
  for (int i = 0; i < 100 && before != seen_.given; ++i) {
    before = seen_.given;
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_LT(seen_.given, 16'000'000u) << "what the kernel takes, and little more";
  for (std::size_t size = 0; size < 64'000'000;) {
    const auto some = client->some();
    ASSERT_FALSE(some.empty()) << size;
    size += some.size();
  }
  EXPECT_EQ(seen_.given, 64'000'000u);
}

TEST_P(HttpServerPiecesTest, WhenTheClientIsGoneNothingMoreIsAskedFor) {
  {
    const auto client = begin(4096);
    ASSERT_TRUE(client->send(pieces("64000000,50000,e,l")));
    EXPECT_FALSE(client->some().empty());
    client->reset();
  }
  EXPECT_TRUE(all_gone()) << "while room was waited for";
  {
    const auto client = begin();
    ASSERT_TRUE(client->send(pieces("50000,50000,w")));
    EXPECT_TRUE(reads(*client, 50'000));
    for (int i = 0; i < 500 && seen_.waiting == 0; ++i) std::this_thread::sleep_for(milliseconds(10));
    client->reset();
  }
  EXPECT_TRUE(all_gone()) << "while a piece was waited for";
  EXPECT_GE(seen_.given_up, 1u);
  EXPECT_LT(seen_.given, 64'000'000u);
}

TEST_P(HttpServerPiecesTest, ASlowSourceIsNoIdleClientAndASlowReaderIsCutOff) {
  options_.idle_timeout = options_.header_timeout = milliseconds(100);
  options_.write_timeout = milliseconds(200);
  options_.least_write_rate = 100'000'000;
  const auto waits = begin();
  ASSERT_TRUE(waits->send(pieces("1000,1000,w,w")));
  EXPECT_TRUE(reads(*waits, 1000));
  EXPECT_TRUE(waits->silent_for(milliseconds(500)));
  EXPECT_EQ(seen_.alive, 1u);
  const auto slow = begin(4096);
  ASSERT_TRUE(slow->send(pieces("64000000,50000,e,l")));
  for (int i = 0; i < 500 && seen_.alive != 1; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(seen_.alive, 1u);
}

TEST_P(HttpServerPiecesTest, AServerThatStopsLeavesNoSource) {
  const auto client = begin();
  ASSERT_TRUE(client->send(pieces("50000,50000,w")));
  EXPECT_FALSE(client->some().empty());
  server_->stop(Duration{0});
  EXPECT_EQ(seen_.alive, 0u);
}

class Http2PiecesTest : public HttpServerPiecesTest {
 protected:
  static constexpr std::string_view kHttp2 = "\x02h2";
  const Peer::Answer& answer_at(TestClient& client, std::int32_t stream) {
    const Peer::Answer& one = peer_.answers[stream];
    while (!one.ended && !one.was_reset) {
      const auto bytes = client.some();
      if (bytes.empty()) break;
      peer_.take(bytes);
    }
    return one;
  }
  std::unique_ptr<TestClient> hello(std::uint32_t window = 1 << 30) {
    auto client = begin(0, kHttp2);
    client->send(Peer::hello(Peer::setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window)) + Peer::window(0, 1 << 30));
    return client;
  }
  Peer peer_;
};
INSTANTIATE_TEST_SUITE_P(Tls, Http2PiecesTest, ::testing::Values(true));

TEST_P(Http2PiecesTest, PiecesMakeTheWholeStreamByStream) {
  const auto client = hello();
  client->send(Peer::get(1, "/pieces?1000000,30000,e,l") + Peer::get(3, "/pieces?500000,60000,e") +
               Peer::get(5, "/pieces?0,10,e") + Peer::get(7, "/whole") +
               Peer::headers(9, Peer::request_fields("HEAD", "/pieces?5000,10,e,l"), true));
  EXPECT_EQ(answer_at(*client, 1).body, test_bytes(1'000'000));
  EXPECT_EQ(peer_.answers[1].fields["content-length"], "1000000");
  EXPECT_EQ(answer_at(*client, 3).body, test_bytes(500'000));
  EXPECT_FALSE(peer_.answers[3].fields.contains("content-length"));
  EXPECT_TRUE(answer_at(*client, 5).ended);
  EXPECT_EQ(answer_at(*client, 7).body, "whole");
  EXPECT_TRUE(answer_at(*client, 9).ended);
  EXPECT_EQ(peer_.answers[9].fields["content-length"], "5000");
  EXPECT_TRUE(all_gone());
}

TEST_P(Http2PiecesTest, WhatBreaksOffEndsTheStreamAlone) {
  const auto client = hello();
  client->send(Peer::get(1, "/pieces?100000,30000,b") + Peer::get(3, "/pieces?100000,30000,e,w") +
               Peer::get(5, "/pieces?100000,30000,e,l"));
  EXPECT_TRUE(answer_at(*client, 1).was_reset);
  EXPECT_EQ(peer_.answers[1].reset, static_cast<std::uint32_t>(NGHTTP2_INTERNAL_ERROR));
  EXPECT_FALSE(peer_.answers[1].ended);
  EXPECT_TRUE(answer_at(*client, 3).was_reset) << "shorter than it was to be";
  EXPECT_EQ(answer_at(*client, 5).body.size(), 100'000u);
}

TEST_P(Http2PiecesTest, AStreamWithoutAWindowHoldsAPieceAndHoldsUpNoOther) {
  const auto client = hello(1000);
  client->send(Peer::get(1, "/pieces?2000000,30000,e,l"));
  EXPECT_TRUE(gives(30'000));
  client->send(Peer::get(3, "/whole"));
  EXPECT_EQ(answer_at(*client, 3).body, "whole");
  EXPECT_EQ(seen_.given, 30'000u);
  client->send(Peer::window(1, 1 << 30));
  EXPECT_EQ(answer_at(*client, 1).body.size(), 2'000'000u);
}

TEST_P(Http2PiecesTest, AStreamThatIsGivenUpAsksForNothingMore) {
  const auto client = hello(1000);
  client->send(Peer::get(1, "/pieces?2000000,30000,e,l") + Peer::get(3, "/pieces?500,1000,w"));
  EXPECT_TRUE(gives(30'500));
  client->send(Peer::reset(1) + Peer::reset(3));
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(seen_.given, 30'500u);
  client->send(Peer::get(5, "/whole"));
  EXPECT_EQ(answer_at(*client, 5).body, "whole");
}

}  // namespace
}  // namespace evercert::net
