// SPDX-License-Identifier: Apache-2.0
#include "net/handover.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "net/http_test_server.h"

namespace evercert::net {
namespace {

using std::chrono::milliseconds;

class HandoverTest : public HttpServerTest {
 protected:
  HandoverTest() { options_.handover = path_ = certificates_.dir() + "/server.sock"; }
  std::unique_ptr<HttpServer> another(HttpServerOptions options) {
    auto started = HttpServer::start(std::move(options), [](HttpRequest) -> Task<HttpResponse> {
      HttpResponse response;
      response.body = "the new one";
      co_return response;
    });
    EXPECT_TRUE(started) << started.error().message;
    return started ? std::move(*started) : nullptr;
  }
  static bool becomes_true(const auto& what) {
    for (int tries = 0; tries < 500 && !what(); ++tries) std::this_thread::sleep_for(milliseconds(10));
    return what();
  }
  std::string path_;
};
INSTANTIATE_TEST_SUITE_P(Plain, HandoverTest, ::testing::Values(false));

TEST_P(HandoverTest, NoConnectionIsRefusedAndNoRequestIsLost) {
  options_.threads = 2;
  start();
  const auto port = server_->port(kPlain);
  std::atomic<bool> over{false};
  std::atomic<int> old_ones{0}, new_ones{0}, failed{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (!over) {
        TestClient client(port);
        client.send(get("/x"));
        const TestAnswer answer = client.answer();
        ++(answer.status != 200 ? failed : answer.body == "the new one" ? new_ones : old_ones);
      }
    });
  }
  EXPECT_TRUE(becomes_true([&] { return old_ones > 20; }));
  std::vector<std::unique_ptr<HttpServer>> servers;
  // With fewer threads, and with more.
  for (const int threads : {1, 3}) {
    HttpServerOptions options = options_;
    options.threads = threads;
    HttpServer& old = servers.empty() ? *server_ : *servers.back();
    servers.push_back(another(options));
    ASSERT_NE(servers.back(), nullptr);
    EXPECT_EQ(servers.back()->port(kPlain), port);
    EXPECT_TRUE(becomes_true([&] { return old.handed_over(); }));
    old.drain(10s);
    const int before = new_ones;
    EXPECT_TRUE(becomes_true([&] { return new_ones > before + 20; }));
  }
  server_.reset();
  over = true;
  for (auto& client : clients) client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_FALSE(servers.back()->handed_over());
  servers.pop_back();
  EXPECT_FALSE(std::filesystem::exists(path_)) << "the last one takes it along";
}

TEST_P(HandoverTest, ANewServerThatFailsLeavesTheOldOneAtWork) {
  start();
  HttpServerOptions options = options_;
  options.listeners.push_back({"192.0.2.1", 1, false, {}, ClientCertificates::kNone});  // not an address of ours
  EXPECT_FALSE(HttpServer::start(options, nullptr));
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/1")));
  EXPECT_EQ(client->answer().status, 200);
  EXPECT_FALSE(server_->handed_over());
  const auto next = another(options_);
  EXPECT_TRUE(becomes_true([&] { return server_->handed_over(); })) << "and one that does not fail is welcome";
}

TEST_P(HandoverTest, AStaleSocketIsNobody) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, path_.size());
  const int stale = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(stale, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(stale);
  start();
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/1")));
  EXPECT_EQ(client->answer().status, 200);
}

TEST_P(HandoverTest, WhoLeavesWithoutAWordReplacesNobody) {
  start();
  for (int i = 0; i < 2; ++i) {
    const auto other = Takeover::from(path_);
    ASSERT_TRUE(other && other->found());
  }
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/1")));
  EXPECT_EQ(client->answer().status, 200);
  EXPECT_FALSE(server_->handed_over());
}

TEST_P(HandoverTest, APathThatIsTooLongIsSaid) {
  options_.handover = "/" + std::string(200, 'x');
  const auto started = HttpServer::start(options_, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kInvalid);
}

}  // namespace
}  // namespace evercert::net
