// SPDX-License-Identifier: Apache-2.0
// The whole server on loopback: real sockets, edges that are small HTTPS servers. Ports are the system's choice; what
// is waited for has a limit that only a failure reaches.
#include "traffic/dns/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/time.h>
#include <unistd.h>

#include <thread>

#include "base/os/system.h"
#include "net/http_server.h"
#include "net/http_test_client.h"
#include "traffic/dns/message_test.h"

namespace evercert::traffic::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Task<net::HttpResponse> ready(std::atomic<int>* status) {
  net::HttpResponse response;
  response.status = *status;
  response.body = "how it is\x01\n";
  co_return response;
}

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    options_.regions = test_regions();
    options_.checks.tls.ca_bundle = certificates_.server().ca_bundle;
    options_.checks.plan = {100ms, 1s, 20ms};
    options_.rules = {{2, 2}, 50, 10s, 1ms, 1ms, 30s};
    options_.zone = test_zone_options();
    options_.records = "big TXT \"" + std::string(250, 'x') + "\" \"" + std::string(250, 'y') + "\"\n";
    options_.geography = test_geography();
    options_.listen = {{*parse_address("127.0.0.1"), 0}};
    options_.status = {*parse_address("127.0.0.1"), 0};
    for (std::size_t r = 0; r < 3; ++r) {
      statuses_[r] = 200;
      start_edge(r, 0);
      options_.checks.edges.push_back({{"127.0.0.1", edges_[r]->port(0), true, "127.0.0.1"}});
    }
  }

  void start_edge(std::size_t which, std::uint16_t port) {
    net::HttpServerOptions options;
    options.listeners.push_back({"127.0.0.1", port, true, certificates_.server(), net::ClientCertificates::kNone});
    auto* status = &statuses_[which];
    auto started = net::HttpServer::start(options, [status](net::HttpRequest) { return ready(status); });
    ASSERT_TRUE(started) << started.error().message;
    edges_[which] = std::move(*started);
  }

  void start() {
    auto started = Server::start(std::move(options_), os::monotonic_clock(), os::wall_clock(), os::secure_random());
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
    port_ = server_->listening()[0].port;
  }

  static int connected(int type, std::uint16_t port) {
    const int socket = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
    const timeval limit{5, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return socket;
  }
  Told by_udp(const Ask& question) const {
    const Socket socket(connected(SOCK_DGRAM, port_));
    const auto bytes = question.bytes();
    EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    std::array<std::uint8_t, 4096> answer;
    const ssize_t size = ::recv(socket.get(), answer.data(), answer.size(), 0);
    EXPECT_GT(size, 0);
    return Told(std::span(answer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))));
  }
  // What the region's own place is told: 10.N.0.0/24 by its client subnet.
  std::vector<std::string> seen_from(char place) const {
    Ask question{"api.test."};
    question.edns = true;
    question.options = {{LDNS_EDNS_CLIENT_SUBNET, std::string("\0\1\x18\0\x0a", 5) + place + '\0'}};
    return by_udp(question).data();
  }
  template <class Condition>
  static bool soon(Condition condition) {
    for (int i = 0; i < 600; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  std::string page(const std::string& path) const {
    net::TestClient client(server_->status_port());
    client.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    return client.answer().body;
  }
  static std::string framed(const std::vector<std::uint8_t>& message) {
    return std::string{static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 0xff)} +
           std::string(message.begin(), message.end());
  }
  // Whole answers, until `count` are there or the connection ends.
  static std::vector<std::string> answers(int socket, std::size_t count) {
    std::string in;
    std::vector<std::string> out;
    std::array<char, 4096> bytes;
    while (out.size() < count) {
      const ssize_t got = ::recv(socket, bytes.data(), bytes.size(), 0);
      if (got <= 0) return out;
      in.append(bytes.data(), static_cast<std::size_t>(got));
      while (in.size() >= 2) {
        const std::size_t size =
            static_cast<std::size_t>(static_cast<std::uint8_t>(in[0])) << 8 | static_cast<std::uint8_t>(in[1]);
        if (in.size() < size + 2) break;
        out.push_back(in.substr(2, size));
        in.erase(0, size + 2);
      }
    }
    return out;
  }

  const net::TestCertificates certificates_;
  std::array<std::atomic<int>, 3> statuses_;
  std::array<std::unique_ptr<net::HttpServer>, 3> edges_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
};

TEST_F(ServerTest, ARegionThatDiesLeavesTheAnswersAndComesBackToThem) {
  start();
  EXPECT_THAT(seen_from(1), ElementsAre("192.0.2.1", "192.0.2.2"));
  const std::uint16_t port = edges_[0]->port(0);
  edges_[0].reset();
  EXPECT_TRUE(soon([&] { return seen_from(1) == std::vector<std::string>{"192.0.2.2", "192.0.2.3"}; }));
  EXPECT_THAT(page("/metrics"), HasSubstr("evercert_dns_region_in{region=\"us-east-1\"} 0"));
  EXPECT_THAT(page("/"), HasSubstr("no connection to 127.0.0.1"));
  start_edge(0, port);
  EXPECT_TRUE(soon([&] { return seen_from(1).at(0) == "192.0.2.1"; }));
}

TEST_F(ServerTest, AnEdgeThatSaysThatItIsNotReadyIsBelievedAndItsWordsAreMadeHarmless) {
  start();
  statuses_[2] = 503;
  EXPECT_TRUE(soon([&] { return seen_from(3).at(0) != "192.0.2.3"; }));
  EXPECT_THAT(page("/"), HasSubstr("status 503: how it is"));
}

TEST_F(ServerTest, AnEdgeThatAcceptsAndSaysNothingIsOutAfterTheTimeOut) {
  const auto silent = open_tcp({*parse_address("127.0.0.1"), 0});
  ASSERT_TRUE(silent);
  options_.checks.edges[0][0].port = *port_of(*silent);
  start();
  EXPECT_TRUE(soon([&] { return seen_from(1).at(0) != "192.0.2.1"; }));
  EXPECT_THAT(page("/"), HasSubstr("no answer within 1000 ms"));
}

TEST_F(ServerTest, AnEdgeThatCannotProveItselfIsOut) {
  const net::TestCertificates others;
  options_.checks.tls.ca_bundle = others.server().ca_bundle;
  start();
  EXPECT_TRUE(soon([&] { return page("/metrics").find("evercert_dns_blind 1") != std::string::npos; }));
  EXPECT_THAT(seen_from(1), ElementsAre("192.0.2.1", "192.0.2.2")) << "all are: the answers stay";
}

TEST_F(ServerTest, TcpCarriesManyQuestionsAndWhatUdpHadNoRoomFor) {
  start();
  EXPECT_TRUE(by_udp({"big.api.test.", LDNS_RR_TYPE_TXT}).tc());
  const Socket socket(connected(SOCK_STREAM, port_));
  const std::string question = framed(Ask{"big.api.test.", LDNS_RR_TYPE_TXT}.bytes());
  std::string all;
  for (int i = 0; i < 100; ++i) all += question;
  // In pieces that begin and end anywhere.
  for (std::size_t at = 0; at < all.size(); at += 97) {
    const std::string piece = all.substr(at, 97);
    ASSERT_EQ(::send(socket.get(), piece.data(), piece.size(), MSG_NOSIGNAL), static_cast<ssize_t>(piece.size()));
  }
  const auto got = answers(socket.get(), 100);
  ASSERT_EQ(got.size(), 100u);
  for (const auto& answer : got) EXPECT_EQ(Told(answer).answer().size(), 1u);
}

TEST_F(ServerTest, AConnectionThatMakesNoSenseIsClosedAndOthersGoOn) {
  start();
  const Socket fine(connected(SOCK_STREAM, port_)), broken(connected(SOCK_STREAM, port_));
  const std::string nonsense("\0\3abc", 5);
  ASSERT_EQ(::send(broken.get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL), 5);
  EXPECT_TRUE(answers(broken.get(), 1).empty());
  const std::string question = framed(Ask{"api.test."}.bytes());
  ASSERT_GT(::send(fine.get(), question.data(), question.size(), MSG_NOSIGNAL), 0);
  EXPECT_EQ(answers(fine.get(), 1).size(), 1u);
}

TEST_F(ServerTest, ConnectionsOfOneNetworkAreBounded) {
  options_.tcp.of_one_network = 4;
  options_.tcp.idle = 3600s;
  start();
  std::vector<Socket> sockets;
  for (int i = 0; i < 8; ++i) sockets.emplace_back(connected(SOCK_STREAM, port_));
  const std::string question = framed(Ask{"api.test."}.bytes());
  std::size_t answered = 0;
  for (const Socket& socket : sockets) {
    ::send(socket.get(), question.data(), question.size(), MSG_NOSIGNAL);
    answered += answers(socket.get(), 1).size();
  }
  EXPECT_EQ(answered, 4u);
  sockets.pop_back();
  sockets.erase(sockets.begin());
  EXPECT_TRUE(soon([&] {
    const Socket later(connected(SOCK_STREAM, port_));
    ::send(later.get(), question.data(), question.size(), MSG_NOSIGNAL);
    return answers(later.get(), 1).size() == 1;
  })) << "there is room again";
}

TEST_F(ServerTest, ConnectionsThatSayNothingOrNeverFinishAreEnded) {
  options_.tcp.idle = 300ms;
  options_.tcp.slow_query = 100ms;
  start();
  const auto ended = [](const Socket& socket) {
    char byte = 0;
    return ::recv(socket.get(), &byte, 1, 0) == 0;
  };
  EXPECT_TRUE(ended(Socket(connected(SOCK_STREAM, port_))));
  const Socket slow(connected(SOCK_STREAM, port_));
  ASSERT_EQ(::send(slow.get(), "\0", 1, MSG_NOSIGNAL), 1);
  EXPECT_TRUE(ended(slow));
}

TEST_F(ServerTest, SeveralThreadsAnswerTheSame) {
  options_.threads = 4;
  start();
  for (int i = 0; i < 40; ++i) EXPECT_THAT(seen_from(2), ElementsAre("192.0.2.2", "192.0.2.1"));
  EXPECT_THAT(page("/metrics"), HasSubstr("evercert_dns_queries_total{transport=\"udp\"} 40"));
}

TEST_F(ServerTest, ASocketOfAllAddressesAnswersFromTheOneThatWasAsked) {
  options_.listen = {{*parse_address("0.0.0.0"), 0}};
  start();
  const Socket socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const timeval limit{5, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port_);
  inet_pton(AF_INET, "127.9.9.9", &to.sin_addr);
  const auto bytes = Ask{"api.test."}.bytes();
  ASSERT_GT(::sendto(socket.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  std::array<std::uint8_t, 4096> answer;
  sockaddr_in from{};
  socklen_t size = sizeof from;
  ASSERT_GT(::recvfrom(socket.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size), 0);
  EXPECT_EQ(from.sin_addr.s_addr, to.sin_addr.s_addr);
}

TEST_F(ServerTest, APortThatIsTakenIsSaidSo) {
  start();
  ServerOptions second;
  second.regions = test_regions();
  second.checks.edges = {{{"127.0.0.1", 1, true, ""}}, {{"127.0.0.1", 1, true, ""}}, {{"127.0.0.1", 1, true, ""}}};
  second.checks.plan = {1s, 1s, 1s};
  second.checks.tls.ca_bundle = certificates_.server().ca_bundle;
  second.zone = test_zone_options();
  second.geography = test_geography();
  second.listen = {{*parse_address("127.0.0.1"), port_}};
  second.status = {*parse_address("127.0.0.1"), 0};
  second.threads = 2;
  const auto refused = Server::start(std::move(second), os::monotonic_clock(), os::wall_clock(), os::secure_random());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("--listen"));
}

}  // namespace
}  // namespace evercert::traffic::dns
