// SPDX-License-Identifier: Apache-2.0
// HTTP/2 on a real connection: what the session's own tests cannot see.
#include "net/http2_test_peer.h"
#include "net/http_test_server.h"

namespace evercert::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Peer = Http2TestPeer;

constexpr std::string_view kHttp2 = "\x02h2", kBoth = "\x02h2\x08http/1.1", kOld = "\x08http/1.1", kOther = "\x04imap";

class HttpServerHttp2Test : public HttpServerTest {
 protected:
  struct Client {
    Client(std::uint16_t port, TlsFiles files, int receive_buffer = 0)
        : link(port, TestClient::Tls{std::move(files), 0, nullptr, kHttp2}, receive_buffer) {
      link.send(Peer::hello());
    }
    // Until `stream` has a whole answer, or its end.
    const Peer::Answer& answer(std::int32_t stream) {
      Peer::Answer& one = peer.answers[stream];
      while (!one.ended && !one.was_reset && take()) {
      }
      return one;
    }
    bool take() {
      const std::string bytes = link.some();
      peer.take(bytes);
      return !bytes.empty();
    }
    // Until the connection has ended. False: it does not.
    bool to_the_end() {
      while (take()) {
      }
      return link.closed_within(seconds(1));
    }
    TestClient link;
    Peer peer;
  };

  std::unique_ptr<Client> http2(TlsFiles files = {}, int receive_buffer = 0) {
    if (!server_) start();
    return std::make_unique<Client>(server_->port(kTls), std::move(files), receive_buffer);
  }
  std::string chosen(std::string_view protocols) {
    if (!server_) start();
    const TestClient client(server_->port(kTls), TestClient::Tls{{}, 0, nullptr, protocols});
    if (!client.connected()) return "refused";
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(const_cast<TestClient&>(client).ssl(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
};
INSTANTIATE_TEST_SUITE_P(Tls, HttpServerHttp2Test, ::testing::Values(true));

TEST_P(HttpServerHttp2Test, TheVersionIsAgreedOnInTheHandshake) {
  EXPECT_EQ(chosen(kBoth), "h2");
  EXPECT_EQ(chosen(kHttp2), "h2");
  EXPECT_EQ(chosen(kOld), "http/1.1");
  EXPECT_EQ(chosen(kOther), "refused");
  EXPECT_EQ(chosen({}), "") << "HTTP/1.1 without a word";
}

TEST_P(HttpServerHttp2Test, RequestsAreHandledSideBySide) {
  const auto client = http2(certificates_.client());
  client->link.send(Peer::get(1, "/later?one") + Peer::get(3, "/later?two") + Peer::get(5, "/identity") +
                    Peer::get(7, "/throw"));
  EXPECT_EQ(client->answer(5).body, "evercert://test/edge/one over TLS from 127.0.0.1");
  EXPECT_EQ(client->answer(7).status(), "500");
  ASSERT_TRUE(gate_.wait_for(2));
  EXPECT_FALSE(client->peer.answers[1].ended);
  gate_.open();
  EXPECT_EQ(client->answer(1).body, "later one");
  EXPECT_EQ(client->answer(3).body, "later two");
}

TEST_P(HttpServerHttp2Test, ALargeAnswerArrivesWhole) {
  const auto client = http2();
  client->link.send(
      Peer::window(0, 0x7fff0000) +
      Peer::frame(NGHTTP2_SETTINGS, 0, 0, Peer::setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x7fffffff)) +
      Peer::get(1, "/big") + Peer::get(3, "/bigown"));
  EXPECT_TRUE(client->answer(1).body == *big_);
  EXPECT_TRUE(client->answer(3).body == *big_);
}

TEST_P(HttpServerHttp2Test, AClientThatGivesUpItsRequestsHasNoMoreHandlersThanStreams) {
  options_.max_streams = 10;
  const auto client = http2();
  for (std::int32_t stream = 1; stream < 200; stream += 2) {
    client->link.send(Peer::get(stream, "/later"));
    std::this_thread::sleep_for(milliseconds(1));
    client->link.send(Peer::reset(stream));
  }
  ASSERT_TRUE(gate_.wait_for(10));
  const auto next = http2();
  next->link.send(Peer::get(1, "/"));
  EXPECT_EQ(next->answer(1).status(), "200") << "the server has looked at the others by now";
  EXPECT_LE(handled_, 11);
  gate_.open();
  for (int tries = 0; tries < 500 && ended_ < 10; ++tries) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(ended_, 10) << "each came to its end";
}

TEST_P(HttpServerHttp2Test, WhoDoesNotReadItsAnswerIsCutOff) {
  options_.write_timeout = 200ms;
  const auto client = http2({}, 4096);
  client->link.send(
      Peer::window(0, 0x7fff0000) + Peer::window(0, 0x7fff) +
      Peer::frame(NGHTTP2_SETTINGS, 0, 0, Peer::setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x7fffffff)) +
      Peer::get(1, "/big"));
  std::this_thread::sleep_for(milliseconds(900));
  EXPECT_LT(client->answer(1).body.size(), big_->size());
}

TEST_P(HttpServerHttp2Test, WhoReadsSlowlyButSteadilyGetsItAll) {
  options_.write_timeout = 600ms;
  const auto client = http2({}, 64 * 1024);
  client->link.send(
      Peer::window(0, 0x7fff0000) +
      Peer::frame(NGHTTP2_SETTINGS, 0, 0, Peer::setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x7fffffff)) +
      Peer::get(1, "/big"));
  while (!client->peer.answers[1].ended && client->take()) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(client->peer.answers[1].body == *big_);
}

TEST_P(HttpServerHttp2Test, AStalledWindowEndsItsStreamAlone) {
  options_.write_timeout = 200ms;
  const auto client = http2();
  client->link.send(Peer::get(1, "/big"));
  EXPECT_EQ(client->answer(1).reset, static_cast<std::uint32_t>(NGHTTP2_CANCEL));
  client->link.send(Peer::window(0, 65535) + Peer::get(3, "/3"));
  EXPECT_EQ(client->answer(3).status(), "200");
}

TEST_P(HttpServerHttp2Test, ASlowRequestIsRefusedAndASilentClientIsLeft) {
  options_.header_timeout = 200ms;
  const auto slow = http2();
  slow->link.send(Peer::headers(1, Peer::request_fields("POST", "/"), false));
  EXPECT_EQ(slow->answer(1).status(), "408");
  const auto silent = http2();
  EXPECT_TRUE(silent->to_the_end());
  ASSERT_NE(silent->peer.last(NGHTTP2_GOAWAY), nullptr) << "it is told";
}

TEST_P(HttpServerHttp2Test, PingsDoNotKeepAConnectionThatHasNoRequest) {
  options_.idle_timeout = 300ms;
  const auto client = http2();
  client->link.send(Peer::get(1, "/"));
  EXPECT_EQ(client->answer(1).status(), "200");
  for (int i = 0; i < 200 && client->peer.last(NGHTTP2_GOAWAY) == nullptr; ++i) {
    client->link.send(Peer::frame(NGHTTP2_PING, 0, 0, "12345678"));
    client->take();
    std::this_thread::sleep_for(milliseconds(10));
  }
  ASSERT_NE(client->peer.last(NGHTTP2_GOAWAY), nullptr);
  EXPECT_EQ(client->peer.last(NGHTTP2_GOAWAY)->number(4), static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
}

TEST_P(HttpServerHttp2Test, DrainingServesWhatIsOpenAndWhatIsOnItsWay) {
  const auto client = http2();
  const auto idle = http2();
  idle->link.send(Peer::get(1, "/"));
  EXPECT_EQ(idle->answer(1).status(), "200");
  client->link.send(Peer::get(1, "/later?1"));
  ASSERT_TRUE(gate_.wait_for(1));
  std::thread drain([&] { server_->drain(60s); });
  while (client->peer.last(NGHTTP2_GOAWAY) == nullptr) ASSERT_TRUE(client->take());
  client->link.send(Peer::get(3, "/after"));  // it did not know yet
  EXPECT_EQ(client->answer(3).status(), "200");
  EXPECT_TRUE(idle->to_the_end());
  gate_.open();
  EXPECT_EQ(client->answer(1).body, "later 1");
  EXPECT_TRUE(client->to_the_end());
  drain.join();
}

TEST_P(HttpServerHttp2Test, StoppingDestroysWhatStillWaits) {
  const auto client = http2();
  client->link.send(Peer::get(1, "/later?1") + Peer::get(3, "/later?2"));
  ASSERT_TRUE(gate_.wait_for(2));
  server_->stop(50ms);
  EXPECT_EQ(ended_, 2) << "what they hold is free";
  gate_.open();
  EXPECT_EQ(resumed_, 0);
}

TEST_P(HttpServerHttp2Test, AConnectionThatIsCutLetsItsHandlersEnd) {
  {
    const auto client = http2();
    client->link.send(Peer::get(1, "/later?1") + Peer::get(3, "/later?2"));
    ASSERT_TRUE(gate_.wait_for(2));
    client->link.reset();
  }
  const auto next = http2();
  next->link.send(Peer::get(1, "/"));
  EXPECT_EQ(next->answer(1).status(), "200");
  gate_.open();
  for (int tries = 0; tries < 500 && ended_ < 2; ++tries) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(ended_, 2);
}

}  // namespace
}  // namespace evercert::net
