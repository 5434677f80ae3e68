// SPDX-License-Identifier: Apache-2.0
// Time, numbers and ends.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_test_server.h"

namespace evercert::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HttpServerLimitsTest : public HttpServerTest {};
INSTANTIATE_TEST_SUITE_P(Plain, HttpServerLimitsTest, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, HttpServerLimitsTest, ::testing::Values(true));

TEST_P(HttpServerLimitsTest, HalfARequestDoesNotHoldAConnection) {
  options_.header_timeout = 150ms;
  for (const char* half :
       {"GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"}) {
    const auto client = connect();
    ASSERT_TRUE(client->send(half));
    EXPECT_EQ(client->answer().status, 408) << half;
    EXPECT_TRUE(client->closed_within(seconds(2))) << half;
  }
  const auto silent = connect();
  EXPECT_TRUE(silent->closed_within(seconds(2))) << "who said nothing is told nothing";
  EXPECT_EQ(handled_, 0);
}

TEST_P(HttpServerLimitsTest, BytesOnAndOffDoNotProlongTheTimeOfARequest) {
  options_.header_timeout = 200ms;
  const auto client = connect();
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(client->send("GET / HTTP/1.1\r\n"));
  while (client->silent_for(milliseconds(20)) && std::chrono::steady_clock::now() - begun < seconds(3))
    client->send("X: y\r\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(1));
}

TEST_P(HttpServerLimitsTest, AKeptConnectionMayRestAWhileAndIsThenClosedCleanly) {
  options_.header_timeout = 100ms;
  options_.idle_timeout = 400ms;
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/1")));
  EXPECT_EQ(client->answer().status, 200);
  EXPECT_TRUE(client->silent_for(milliseconds(200)));
  ASSERT_TRUE(client->send(get("/2")));
  EXPECT_EQ(client->answer().status, 200);
  EXPECT_TRUE(client->closed_within(seconds(2)));
  EXPECT_TRUE(client->clean_end());
}

TEST_P(HttpServerLimitsTest, AHandlerMayTakeLongerThanAnyLimit) {
  options_.header_timeout = options_.idle_timeout = options_.write_timeout = 50ms;
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/later?1")));
  ASSERT_TRUE(gate_.wait_for(1));
  std::this_thread::sleep_for(milliseconds(200));
  gate_.open();
  EXPECT_EQ(client->answer().body, "later 1");
  // The time that has passed is not counted against what comes next.
  ASSERT_TRUE(client->send(get("/later?2")));
  ASSERT_TRUE(gate_.wait_for(1));
  gate_.open();
  EXPECT_EQ(client->answer().body, "later 2");
}

TEST_P(HttpServerLimitsTest, WhoDoesNotReadItsAnswerIsCutOff) {
  options_.write_timeout = 200ms;
  const auto client = connect(4096);
  ASSERT_TRUE(client->send(get("/big")));
  std::this_thread::sleep_for(milliseconds(700));
  const auto all = client->rest();
  EXPECT_LT(all.value_or("").size(), big_->size());
}

TEST_P(HttpServerLimitsTest, WhoReadsSlowlyButSteadilyGetsItAll) {
  options_.write_timeout = 600ms;
  const auto client = connect(64 * 1024);
  ASSERT_TRUE(client->send(get("/big")));
  std::size_t read = 0;
  for (std::string some; read < big_->size() && !(some = client->some()).empty(); read += some.size())
    std::this_thread::sleep_for(milliseconds(1));
  EXPECT_GE(read, big_->size());
}

TEST_P(HttpServerLimitsTest, ASilentPeerDoesNotHoldAConnection) {
  options_.header_timeout = 150ms;
  start();
  TestClient silent(server_->port(GetParam() ? kTls : kPlain));
  EXPECT_TRUE(silent.closed_within(seconds(2)));
}

TEST_P(HttpServerLimitsTest, BeyondItsNumberConnectionsAreClosedAtOnce) {
  options_.max_connections = 2;
  const auto one = connect();
  const auto two = connect();
  ASSERT_TRUE(one->send(get("/1")));
  ASSERT_TRUE(two->send(get("/2")));
  EXPECT_EQ(one->answer().status, 200);
  EXPECT_EQ(two->answer().status, 200);
  {
    TestClient three(server_->port(GetParam() ? kTls : kPlain));
    EXPECT_TRUE(three.closed_within(seconds(2)));
  }
  one->reset();
  for (int tries = 0; tries < 100; ++tries) {
    const auto again = connect();
    if (again->connected() && again->send(get("/3")) && again->answer().status == 200) return;
    std::this_thread::sleep_for(milliseconds(10));
  }
  FAIL() << "a connection that ends makes room";
}

TEST_P(HttpServerLimitsTest, AClientHasOnlySoManyConnections) {
  options_.max_connections_per_client = 2;
  const auto one = connect(), two = connect();
  for (const auto& client : {one.get(), two.get()}) {
    ASSERT_TRUE(client->send(get("/1")));
    EXPECT_EQ(client->answer().status, 200);
  }
  TestClient three(server_->port(GetParam() ? kTls : kPlain));
  EXPECT_TRUE(three.closed_within(seconds(2)));
  EXPECT_NE(server_->metrics().find("\nevercert_http_clients_turned_away_total 1\n"), std::string::npos);
  one->reset();
  for (int tries = 0; tries < 100; ++tries) {
    const auto again = connect();
    if (again->connected() && again->send(get("/3")) && again->answer().status == 200) return;
    std::this_thread::sleep_for(milliseconds(10));
  }
  FAIL() << "one that ends makes room";
}

TEST_P(HttpServerLimitsTest, AProxySaysWhoseConnectionItPassesOn) {
  options_.max_connections_per_client = 1;
  for (auto& listener : options_.listeners) listener.proxies.push_back(*AddressPrefix::parse("127.0.0.0/8"));
  start();
  const auto port = server_->port(GetParam() ? kTls : kPlain);
  const auto tls = GetParam() ? std::optional(TestClient::Tls{}) : std::nullopt;
  const auto one = std::make_unique<TestClient>(port, tls, 0, "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n");
  ASSERT_TRUE(one->send(get("/identity")));
  EXPECT_NE(one->answer().body.find("from 192.0.2.1"), std::string::npos);
  TestClient again(port, std::nullopt, 0, "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n");
  EXPECT_TRUE(again.closed_within(seconds(2))) << "it is the client that is counted";
  TestClient other(port, tls, 0, "PROXY TCP4 192.0.2.2 198.51.100.1 1 2\r\n");
  ASSERT_TRUE(other.send(get("/identity")));
  EXPECT_NE(other.answer().body.find("from 192.0.2.2"), std::string::npos);
  TestClient itself(port, tls, 0, "PROXY UNKNOWN\r\n");
  ASSERT_TRUE(itself.send(get("/identity")));
  EXPECT_NE(itself.answer().body.find("from 127.0.0.1"), std::string::npos);
}

TEST_P(HttpServerLimitsTest, AProxyWithoutItsHeaderIsNotServed) {
  options_.header_timeout = 200ms;
  for (auto& listener : options_.listeners) listener.proxies.push_back(*AddressPrefix::parse("127.0.0.1"));
  start();
  for (const char* begin :
       {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 nonsense\r\nGET / HTTP/1.1\r\n\r\n", "PROXY TC", "\r\n\r\n"}) {
    TestClient client(server_->port(GetParam() ? kTls : kPlain));
    ASSERT_TRUE(client.send(begin));
    EXPECT_TRUE(client.closed_within(seconds(2))) << begin;
  }
  EXPECT_EQ(handled_, 0);
}

TEST_P(HttpServerLimitsTest, WhoIsNoProxyIsWhoItIs) {
  for (auto& listener : options_.listeners) listener.proxies.push_back(*AddressPrefix::parse("192.0.2.0/24"));
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/identity")));
  EXPECT_NE(client->answer().body.find("from 127.0.0.1"), std::string::npos);
  TestClient liar(server_->port(kPlain));
  ASSERT_TRUE(liar.send("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n" + get("/identity")));
  EXPECT_EQ(liar.answer().status, 400);
}

TEST_P(HttpServerLimitsTest, DrainingAnswersWhatIsUnderWayAndAcceptsNothing) {
  const auto waiting = connect();
  const auto idle = connect();
  ASSERT_TRUE(idle->send(get("/1")));
  EXPECT_EQ(idle->answer().status, 200);
  ASSERT_TRUE(waiting->send(get("/later?1")));
  ASSERT_TRUE(gate_.wait_for(1));
  std::atomic<bool> drained{false};
  std::thread drain([&] {
    server_->drain(5s);
    drained = true;
  });
  for (int tries = 0; tries < 200 && TestClient(server_->port(kPlain)).connected(); ++tries)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_FALSE(TestClient(server_->port(kPlain)).connected());
  EXPECT_FALSE(drained);
  // Who did not know yet is answered too.
  ASSERT_TRUE(idle->send(get("/prepared")));
  const auto last = idle->answer();
  EXPECT_EQ(last.body, "prepared body");
  EXPECT_TRUE(last.has("Connection: close"));
  gate_.open();
  const auto answer = waiting->answer();
  EXPECT_EQ(answer.body, "later 1");
  EXPECT_TRUE(answer.has("Connection: close"));
  EXPECT_EQ(waiting->rest(), "");
  drain.join();
}

TEST_P(HttpServerLimitsTest, DrainingClosesConnectionsThatStayWithoutARequest) {
  options_.drain_idle = 50ms;
  const auto used = connect(), fresh = connect();
  ASSERT_TRUE(used->send(get("/1")));
  EXPECT_EQ(used->answer().status, 200);
  server_->drain(60s);
  EXPECT_TRUE(used->closed_within(seconds(2)));
  EXPECT_TRUE(fresh->closed_within(seconds(2)));
}

TEST_P(HttpServerLimitsTest, DrainingHasPatienceOnlySoLong) {
  const auto waiting = connect();
  ASSERT_TRUE(waiting->send(get("/later?1")));
  ASSERT_TRUE(gate_.wait_for(1));
  const auto begun = std::chrono::steady_clock::now();
  server_->drain(100ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(2));
  gate_.open();
  EXPECT_EQ(waiting->answer().body, "later 1");
}

TEST_P(HttpServerLimitsTest, StoppingWaitsForWhatComesToItsEndInTime) {
  const auto waiting = connect();
  ASSERT_TRUE(waiting->send(get("/later?1")));
  ASSERT_TRUE(gate_.wait_for(1));
  std::thread stop([&] { server_->stop(5s); });
  for (int tries = 0; tries < 200 && TestClient(server_->port(kPlain)).connected(); ++tries)
    std::this_thread::sleep_for(milliseconds(10));
  gate_.open();
  EXPECT_EQ(waiting->answer().body, "later 1");
  stop.join();
  EXPECT_EQ(resumed_, 1);
  EXPECT_FALSE(TestClient(server_->port(kPlain)).connected());
}

TEST_P(HttpServerLimitsTest, StoppingDestroysWhatStillWaitsThenAndALateAnswerDoesNothing) {
  const auto one = connect(), two = connect(), idle = connect();
  ASSERT_TRUE(idle->send(get("/1")));
  EXPECT_EQ(idle->answer().status, 200);
  for (const auto& client : {one.get(), two.get()}) ASSERT_TRUE(client->send(get("/later?1")));
  ASSERT_TRUE(gate_.wait_for(2));
  server_->stop(50ms);
  EXPECT_EQ(ended_, 2) << "what they hold is free";
  for (const auto& client : {one.get(), two.get(), idle.get()}) EXPECT_EQ(client->answer().status, 0) << "cut off";
  gate_.open();
  EXPECT_EQ(resumed_, 0);
  server_.reset();
}

TEST_P(HttpServerLimitsTest, AnAnswerThatComesWhenTheServerIsGoneDoesNothing) {
  const auto waiting = connect();
  ASSERT_TRUE(waiting->send(get("/later?1")));
  ASSERT_TRUE(gate_.wait_for(1));
  server_.reset();
  EXPECT_EQ(ended_, 1);
  gate_.open();
  EXPECT_EQ(resumed_, 0);
}

TEST_P(HttpServerLimitsTest, SeveralThreadsServeOnePort) {
  options_.threads = 3;
  std::vector<std::thread> clients;
  start();
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      const auto client = connect();
      for (int k = 0; k < 200; ++k) {
        const std::string target = "/" + std::to_string(i) + "/" + std::to_string(k);
        ASSERT_TRUE(client->send(get(target)));
        ASSERT_EQ(client->answer().body, "GET " + target + "\n");
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(handled_, 1600);
}

TEST(HttpServerStartTest, ATakenPortIsSaid) {
  const int taken = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(taken, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(taken, 1), 0);
  ASSERT_EQ(::getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size), 0);
  HttpServerOptions options;
  options.listeners.push_back({"127.0.0.1", ntohs(address.sin_port), false, {}, ClientCertificates::kNone});
  const auto started = HttpServer::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kIo);
  ::close(taken);
}

TEST(HttpServerStartTest, AWrongAddressOrFileIsSaid) {
  HttpServerOptions options;
  options.listeners.push_back({"localhost", 0, false, {}, ClientCertificates::kNone});
  auto started = HttpServer::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kInvalid);
  options.listeners = {{"127.0.0.1", 0, true, {"/nowhere.pem", "/nowhere.key", ""}, ClientCertificates::kNone}};
  started = HttpServer::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kInvalid);
  EXPECT_NE(started.error().message.find("/nowhere.pem"), std::string::npos);
}

}  // namespace
}  // namespace evercert::net
