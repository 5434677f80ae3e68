// SPDX-License-Identifier: Apache-2.0
#include "net/http2_session.h"

#include <gtest/gtest.h>

#include "net/http2_test_peer.h"

namespace evercert::net {
namespace {

using Peer = Http2TestPeer;

class Http2SessionTest : public ::testing::Test {
 protected:
  Http2SessionTest() {
    limits_.streams = 8;
    limits_.body = 1000;
    limits_.header = 1000;
    limits_.bodies = 2500;
    limits_.unsent = 4000;
  }

  // What came complete is added to `arrived_`; what the session says goes to the client.
  bool send(std::string_view bytes) {
    const bool fine = session().receive(bytes, now_);
    for (auto& one : session().arrived()) arrived_.push_back(std::move(one));
    pump();
    return fine;
  }
  void start(std::string_view settings = {}) { ASSERT_TRUE(send(Peer::hello(settings))); }
  void pump() {
    for (;;) {
      Outbox out;
      session().produce(out, 16 * 1024, now_);
      if (out.empty()) return;
      most_at_once_ = std::max(most_at_once_, out.size());
      for (; !out.empty(); out.sent(out.front().size())) client_.take(out.front());
    }
  }
  void answer(std::int32_t stream, std::string body = "fine", int status = 200) {
    HttpResponse response;
    response.status = status;
    response.body = std::move(body);
    session().answer(stream, std::move(response));
    pump();
  }
  void pass(Duration time) {
    now_ += time;
    session().check_time(now_);
    pump();
  }
  Http2Session& session() {
    if (!session_) session_ = std::make_unique<Http2Session>(limits_, now_);
    return *session_;
  }
  const Peer::Answer& at(std::int32_t stream) { return client_.answers[stream]; }
  // Sends one of a kind after another until the session has enough; how many that took, or 0.
  int until_it_ends(int most, const std::function<std::string(int)>& each) {
    for (int i = 0; i < most; ++i) {
      if (!send(each(i)) || session().over()) return i + 1;
    }
    return 0;
  }

  Http2Limits limits_;
  Http2Session::Time now_{};
  std::unique_ptr<Http2Session> session_;
  Peer client_;
  std::vector<Http2Session::Arrived> arrived_;
  std::size_t most_at_once_ = 0;
};

TEST_F(Http2SessionTest, EachRequestGetsItsOwnAnswerInWhateverOrder) {
  start();
  send(Peer::get(1, "/one?a=b") + Peer::headers(3, Peer::request_fields("POST", "/two"), false) +
       Peer::data(3, "bo", false) + Peer::data(3, "dy", true));
  ASSERT_EQ(arrived_.size(), 2u);
  EXPECT_EQ(arrived_[0].request.method, "GET");
  EXPECT_EQ(arrived_[0].request.target, "/one?a=b");
  EXPECT_EQ(arrived_[0].request.path, "/one");
  EXPECT_EQ(arrived_[0].request.query, "a=b");
  EXPECT_EQ(arrived_[0].request.headers.get("Host"), "ca.test");
  EXPECT_EQ(arrived_[1].request.body, "body");
  answer(3, "second");
  answer(1, "first");
  EXPECT_EQ(at(1).body, "first");
  EXPECT_EQ(at(3).body, "second");
  EXPECT_EQ(at(3).fields.at("content-length"), "6");
  EXPECT_TRUE(at(1).ended && at(3).ended);
  EXPECT_EQ(session().open(), 0u);
}

TEST_F(Http2SessionTest, OfAnAnswerOnlyWhatIsValidLeaves) {
  start();
  send(Peer::get(1, "/"));
  HttpResponse response;
  response.headers.add("Content-Type", "text/plain");
  response.headers.add("Connection", "close");
  response.headers.add("Transfer-Encoding", "chunked");
  response.headers.add("Content-Length", "1");
  response.headers.add("Broken", "a\r\nInjected: yes");
  response.headers.add("Bro ken", "x");
  response.headers.add("Whole", "yes");
  response.shared_body = std::make_shared<const std::string>("shared");
  session().answer(1, std::move(response));
  pump();
  const std::map<std::string, std::string> expected{
      {":status", "200"}, {"content-type", "text/plain"}, {"whole", "yes"}, {"content-length", "6"}};
  EXPECT_EQ(at(1).fields, expected);
  EXPECT_EQ(at(1).body, "shared");
}

TEST_F(Http2SessionTest, APreparedAnswerIsTheSameInHttp2) {
  start();
  HttpResponse response;
  response.status = 404;
  response.headers.add("Content-Type", "text/plain");
  response.body = "prepared";
  const auto prepared = prepare(response);
  send(Peer::get(1, "/") + Peer::headers(3, Peer::request_fields("HEAD", "/"), true));
  for (const std::int32_t stream : {1, 3}) {
    HttpResponse one;
    one.prepared = prepared;
    session().answer(stream, std::move(one));
  }
  pump();
  for (const std::int32_t stream : {1, 3}) {
    EXPECT_EQ(at(stream).status(), "404");
    EXPECT_EQ(at(stream).fields.at("content-type"), "text/plain");
    EXPECT_EQ(at(stream).fields.at("content-length"), "8");
    EXPECT_TRUE(at(stream).ended);
  }
  EXPECT_EQ(at(1).body, "prepared");
  EXPECT_EQ(at(3).body, "") << "HEAD";
}

TEST_F(Http2SessionTest, WhatWouldBeAnotherRequestInHttp1IsNone) {
  const std::vector<Peer::Fields> malformed{
      {{":method", "GET"}, {":scheme", "https"}},                                 // no path
      {{":method", "GET"}, {":scheme", "https"}, {":path", "/a b"}, {"x", "y"}},  // a space in the target
      {{":method", "GET"}, {":scheme", "ftp"}, {":path", "anything"}},
      {{":method", "GET"}, {":scheme", "https"}, {":path", "*"}},
      {{":method", "GET"}, {":scheme", "https"}, {":path", "relative"}},            //
      {{":method", "GET\r\nX: y"}, {":scheme", "https"}, {":path", "/"}},           //
      {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":path", "/b"}},  //
      {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":status", "200"}},
      {{":method", "GET"}, {":scheme", "https"}, {"x", "y"}, {":path", "/"}},  // a pseudo-field behind a field
      Peer::request_fields("GET", "/", {{"x", "a\r\nb: c"}}),
      Peer::request_fields("GET", "/", {{"x", std::string("a\0b", 3)}}),
      Peer::request_fields("GET", "/", {{"x\r\ny", "z"}}),
      Peer::request_fields("GET", "/", {{"x y", "z"}}),
      Peer::request_fields("GET", "/", {{"X", "y"}}),
      Peer::request_fields("GET", "/", {{"", "y"}}),
      Peer::request_fields("GET", "/", {{"transfer-encoding", "chunked"}}),
      Peer::request_fields("GET", "/", {{"connection", "close"}}),
      Peer::request_fields("GET", "/", {{"upgrade", "h2c"}}),
      Peer::request_fields("GET", "/", {{"te", "chunked"}}),
      Peer::request_fields("GET", "/", {{"content-length", "5"}}),  // no body follows
      Peer::request_fields("GET", "/", {{"content-length", "5"}, {"content-length", "0"}}),
      Peer::request_fields("GET", "/", {{"content-length", "-0"}}),
      Peer::request_fields("GET", "/", {{":authority", "a@b c"}}),
      Peer::request_fields("GET", "/", {{"host", "other.test"}}),
      Peer::request_fields("CONNECT", "/"),
  };
  start();
  std::int32_t stream = 1;
  for (const auto& fields : malformed) {
    ASSERT_TRUE(send(Peer::headers(stream, fields, true)));
    const bool refused =
        (at(stream).was_reset && at(stream).reset == NGHTTP2_PROTOCOL_ERROR) || at(stream).status() == "400";
    EXPECT_TRUE(refused) << "case " << stream / 2 << ": " << at(stream).status() << " reset " << at(stream).reset;
    stream += 2;
  }
  EXPECT_TRUE(arrived_.empty());
  send(Peer::headers(stream, {{":method", "CONNECT"}, {":authority", "other.test:443"}}, true));
  EXPECT_EQ(at(stream).status(), "405");
  send(Peer::get(stream + 2, "/"));
  EXPECT_EQ(arrived_.size(), 1u) << "the others are served";
}

TEST_F(Http2SessionTest, ABodyIsAsLongAsItWasSaidToBe) {
  start();
  send(Peer::headers(1, Peer::request_fields("POST", "/", {{"content-length", "3"}}), false) +
       Peer::data(1, "abcd", true));
  send(Peer::headers(3, Peer::request_fields("POST", "/", {{"content-length", "3"}}), false) +
       Peer::data(3, "ab", true));
  EXPECT_EQ(at(1).reset, static_cast<std::uint32_t>(NGHTTP2_PROTOCOL_ERROR));
  EXPECT_EQ(at(3).reset, static_cast<std::uint32_t>(NGHTTP2_PROTOCOL_ERROR));
  EXPECT_TRUE(arrived_.empty());
}

TEST_F(Http2SessionTest, CookiesAreOneFieldAndTrailersAndTeAreForNobody) {
  start();
  send(Peer::headers(1, Peer::request_fields("POST", "/", {{"cookie", "a=1"}, {"cookie", "b=2"}, {"te", "trailers"}}),
                     false) +
       Peer::data(1, "x", false) + Peer::headers(1, {{"evercert-attempt", "1"}}, true));
  ASSERT_EQ(arrived_.size(), 1u);
  EXPECT_EQ(arrived_[0].request.headers.get("cookie"), "a=1; b=2");
  EXPECT_FALSE(arrived_[0].request.headers.find("te"));
  EXPECT_FALSE(arrived_[0].request.headers.find("evercert-attempt"));
}

TEST_F(Http2SessionTest, TooLargeOrTooLateIsSaidWithAStatus) {
  start();
  send(Peer::get(1, "/", {{"x", std::string(1000, 'x')}}));
  EXPECT_EQ(at(1).status(), "431");
  send(Peer::headers(3, Peer::request_fields("POST", "/"), false) + Peer::data(3, std::string(1001, 'x'), false));
  EXPECT_EQ(at(3).status(), "413");
  EXPECT_TRUE(at(3).was_reset && at(3).reset == NGHTTP2_NO_ERROR) << "the rest of it is not wanted";
  send(Peer::headers(5, Peer::request_fields("POST", "/", {{"content-length", "100000"}, {"expect", "100-continue"}}),
                     false));
  EXPECT_EQ(at(5).status(), "413") << "before a byte of it came";
  send(Peer::headers(7, Peer::request_fields("POST", "/"), false));
  pass(limits_.request_time / 2);
  send(Peer::data(7, "x", false));
  EXPECT_EQ(at(7).status(), "");
  pass(limits_.request_time / 2);
  EXPECT_EQ(at(7).status(), "408");
  EXPECT_TRUE(arrived_.empty());
  EXPECT_EQ(session().open(), 0u);
}

TEST_F(Http2SessionTest, WhoWaitsForLeaveToSendItsBodyGetsIt) {
  start();
  send(Peer::headers(1, Peer::request_fields("POST", "/", {{"expect", "100-continue"}}), false));
  EXPECT_EQ(at(1).status(), "100");
  send(Peer::data(1, "x", true));
  ASSERT_EQ(arrived_.size(), 1u);
  answer(1);
  EXPECT_EQ(at(1).status(), "200");
}

TEST_F(Http2SessionTest, IncompleteBodiesTogetherAreBounded) {
  start();
  for (const std::int32_t stream : {1, 3, 5})
    send(Peer::headers(stream, Peer::request_fields("POST", "/"), false) +
         Peer::data(stream, std::string(900, 'x'), false));
  EXPECT_FALSE(at(1).was_reset || at(3).was_reset);
  EXPECT_EQ(at(5).reset, static_cast<std::uint32_t>(NGHTTP2_REFUSED_STREAM));
  send(Peer::data(1, "", true) + Peer::data(3, "", true));
  EXPECT_EQ(arrived_.size(), 2u);
  for (const std::int32_t stream : {7, 9})
    send(Peer::headers(stream, Peer::request_fields("POST", "/"), false) +
         Peer::data(stream, std::string(900, 'x'), true));
  EXPECT_EQ(arrived_.size(), 4u) << "what was handed over counts no more";
}

TEST_F(Http2SessionTest, WhoDoesNotReadHoldsOnlySoMuch) {
  start(Peer::setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100));
  send(Peer::get(1, "/") + Peer::get(3, "/"));
  answer(1, std::string(3000, 'x'));
  answer(3, std::string(3000, 'y'));
  EXPECT_EQ(at(1).body.size(), 100u);
  send(Peer::get(5, "/"));
  EXPECT_EQ(at(5).reset, static_cast<std::uint32_t>(NGHTTP2_REFUSED_STREAM)) << "too much waits already";
  EXPECT_EQ(arrived_.size(), 2u);
  send(Peer::window(1, 10000) + Peer::window(3, 10000));
  EXPECT_EQ(at(1).body, std::string(3000, 'x'));
  EXPECT_EQ(at(3).body, std::string(3000, 'y'));
  send(Peer::get(7, "/"));
  EXPECT_EQ(arrived_.size(), 3u);
}

TEST_F(Http2SessionTest, ALargeAnswerComesInPiecesNoFasterThanItIsTaken) {
  start();
  const auto big = std::make_shared<const std::string>(std::string(1 << 20, 'b'));
  send(Peer::get(1, "/"));
  HttpResponse response;
  response.shared_body = big;
  session().answer(1, std::move(response));
  pump();
  EXPECT_EQ(at(1).body.size(), 65535u) << "the window of the connection";
  while (at(1).body.size() < big->size()) {
    const std::size_t before = at(1).body.size();
    ASSERT_TRUE(send(Peer::window(1, 30000) + Peer::window(0, 30000)));
    ASSERT_GT(at(1).body.size(), before);
  }
  EXPECT_EQ(at(1).body, *big);
  EXPECT_LE(most_at_once_, 2u * 16 * 1024) << "what waits to be sent is no more than was asked for, and a frame";
  EXPECT_EQ(big.use_count(), 1) << "let go";
}

TEST_F(Http2SessionTest, AnAnswerThatIsHardlyTakenIsGivenUp) {
  start(Peer::setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0));
  send(Peer::get(1, "/") + Peer::get(3, "/"));
  answer(1, std::string(2000, 'x'));
  answer(3, std::string(3000000, 'y'));
  const auto enough = static_cast<std::uint32_t>(limits_.least_rate * 30);
  for (int period = 0; period < 3; ++period) {
    send(Peer::window(3, enough));
    pass(limits_.write_time / 2);
    if (period == 0) send(Peer::window(1, 1));
    pass(limits_.write_time / 2);
  }
  EXPECT_EQ(at(1).reset, static_cast<std::uint32_t>(NGHTTP2_CANCEL)) << "a byte a minute";
  EXPECT_FALSE(at(3).was_reset) << "slow, but it gets on";
  EXPECT_EQ(at(3).body.size(), 3u * enough);
}

TEST_F(Http2SessionTest, AConnectionThatIsBlockedIsNoStreamsFault) {
  start(Peer::setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0));
  send(Peer::get(1, "/"));
  answer(1, std::string(2000, 'x'));
  for (int i = 0; i < 8; ++i) {
    now_ += limits_.write_time / 4;
    session().check_time(now_, true);
  }
  pass(limits_.write_time / 2);
  EXPECT_FALSE(at(1).was_reset);
  pass(limits_.write_time / 2);
  EXPECT_TRUE(at(1).was_reset);
}

TEST_F(Http2SessionTest, RequestsThatAreGivenUpAtOnceReachNobodyAndEndTheConnection) {
  limits_.streams = 100;
  start();
  const int sent = until_it_ends(10'000, [](int i) { return Peer::get(2 * i + 1, "/") + Peer::reset(2 * i + 1); });
  EXPECT_GT(sent, 50);
  EXPECT_LT(sent, 500);
  EXPECT_TRUE(arrived_.empty());
}

TEST_F(Http2SessionTest, ErrorsThatTheServerIsMadeToAnswerEndTheConnectionToo) {
  limits_.streams = 100;
  start();
  // CVE-2025-8671: the client never resets a stream itself.
  const int sent =
      until_it_ends(10'000, [](int i) { return Peer::get(2 * i + 1, "/") + Peer::window(2 * i + 1, 0x7fffffff); });
  EXPECT_GT(sent, 50);
  EXPECT_LT(sent, 1000);
}

TEST_F(Http2SessionTest, FramesWithoutAUseEndTheConnectionInsteadOfKeepingItBusy) {
  const std::vector<std::pair<const char*, std::function<std::string(int)>>> floods{
      {"PING", [](int) { return Peer::frame(NGHTTP2_PING, 0, 0, "12345678"); }},
      {"SETTINGS", [](int) { return Peer::frame(NGHTTP2_SETTINGS, 0, 0, ""); }},
      {"PRIORITY", [](int i) { return Peer::frame(NGHTTP2_PRIORITY, 0, 2 * i + 1, std::string(5, '\0')); }},
      {"WINDOW_UPDATE", [](int) { return Peer::window(0, 1); }},
      {"empty DATA", [](int) { return Peer::data(1, "", false); }},
      {"DATA of one byte", [](int i) { return Peer::data(1, i % 2 ? "x" : "", false); }},
  };
  for (const auto& [name, each] : floods) {
    session_.reset();
    client_.frames.clear();
    limits_.body = 100'000;
    start();
    send(Peer::headers(1, Peer::request_fields("POST", "/"), false));
    const int sent = until_it_ends(100'000, each);
    EXPECT_GT(sent, 500) << name << ": a few are nothing";
    EXPECT_LT(sent, 5000) << name;
    const auto* goaway = client_.last(NGHTTP2_GOAWAY);
    ASSERT_NE(goaway, nullptr) << name;
    EXPECT_EQ(goaway->number(4), static_cast<std::uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM)) << name;
    EXPECT_FALSE(session().fault().empty()) << name;
  }
}

TEST_F(Http2SessionTest, AnswersToPingsThatNobodyReadsDoNotGather) {
  start();
  int sent = 0;
  while (sent < 100'000 && session().receive(Peer::frame(NGHTTP2_PING, 0, 0, "12345678"), now_)) ++sent;
  EXPECT_LT(sent, 1000);
}

TEST_F(Http2SessionTest, AClientThatGetsOnMayPingAsItLikes) {
  start();
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(send(Peer::frame(NGHTTP2_PING, 0, 0, "12345678") + Peer::get(2 * i + 1, "/"))) << i;
    answer(2 * i + 1);
    send(Peer::window(0, 4));
  }
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(send(Peer::frame(NGHTTP2_PING, 0, 0, "12345678"))) << i;
    pass(1s);
  }
}

TEST_F(Http2SessionTest, AHeaderWithoutAnEndEndsTheConnection) {
  start();
  ASSERT_TRUE(send(Peer::frame(NGHTTP2_HEADERS, 0, 1, Peer::block(Peer::request_fields("GET", "/")))));
  const int sent = until_it_ends(10'000, [](int) {
    return Peer::frame(NGHTTP2_CONTINUATION, 0, 1, Peer::block({{"x", "y"}}));
  });
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, 20);
  session_.reset();
  start();
  ASSERT_TRUE(send(Peer::frame(NGHTTP2_HEADERS, 0, 1, Peer::block(Peer::request_fields("GET", "/")))));
  EXPECT_GT(until_it_ends(10'000, [](int) { return Peer::frame(NGHTTP2_CONTINUATION, 0, 1, ""); }), 0);
}

TEST_F(Http2SessionTest, AHeaderThatIsSmallOnlyUntilItIsUnpackedEndsTheConnection) {
  start();
  // One field of 3 KB into the table, then a reference of one byte to it again and again.
  std::string block = Peer::block(Peer::request_fields("GET", "/"));
  block += std::string("\x40\x01x\x7f", 4) + std::string("\xb9\x16", 2) + std::string(3000, 'v');
  block += std::string(10'000, '\xbe');
  EXPECT_FALSE(send(Peer::frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block)));
  EXPECT_TRUE(arrived_.empty());
  EXPECT_NE(session().fault().find("header"), std::string::npos) << session().fault();
}

TEST_F(Http2SessionTest, MoreStreamsThanAllowedAreRefused) {
  start();
  send(Peer::frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, ""));
  for (std::int32_t i = 0; i < 9; ++i) send(Peer::get(2 * i + 1, "/"));
  EXPECT_EQ(arrived_.size(), 8u);
  EXPECT_LE(session().open(), 8u);
}

TEST_F(Http2SessionTest, WhatWasOnItsWayWhenTheEndWasAnnouncedIsServed) {
  start();
  send(Peer::get(1, "/"));
  session().announce_end();
  pump();
  ASSERT_NE(client_.last(NGHTTP2_GOAWAY), nullptr);
  EXPECT_EQ(client_.last(NGHTTP2_GOAWAY)->number(0), 0x7fffffffu);
  send(Peer::get(3, "/"));
  session().end();
  pump();
  EXPECT_EQ(client_.last(NGHTTP2_GOAWAY)->number(0), 3u);
  send(Peer::get(5, "/"));
  ASSERT_EQ(arrived_.size(), 2u);
  EXPECT_FALSE(session().over());
  answer(1);
  answer(3);
  EXPECT_TRUE(at(1).ended && at(3).ended);
  EXPECT_TRUE(session().over());
  EXPECT_TRUE(session().fault().empty());
}

TEST_F(Http2SessionTest, HttpOneIsNotTakenForHttpTwo) {
  EXPECT_FALSE(send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(session().over());
}

TEST_F(Http2SessionTest, AnAnswerToAStreamThatIsGoneDoesNothing) {
  start();
  send(Peer::get(1, "/"));
  send(Peer::reset(1));
  answer(1);
  session().refuse(1);
  pump();
  EXPECT_EQ(at(1).status(), "");
  send(Peer::get(3, "/"));
  answer(3);
  EXPECT_EQ(at(3).status(), "200");
}

}  // namespace
}  // namespace evercert::net
