// SPDX-License-Identifier: Apache-2.0
#include "net/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "net/http2_test_peer.h"
#include "net/http_test_server.h"

namespace evercert::net {
namespace {

std::vector<nlohmann::json> read_lines(const std::string& path) {
  std::ifstream in(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line, nullptr, false));
  return lines;
}

bool lines_become(const std::string& path, std::size_t count) {
  for (int tries = 0; tries < 250 && read_lines(path).size() < count; ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return read_lines(path).size() == count;
}

TEST(AccessLogLineTest, IsJsonWhateverAClientSent) {
  AccessEntry entry;
  entry.client = "192.0.2.1";
  entry.method = "GET";
  const std::string path("/\"\\\x01\xff\n\0é", 9);
  entry.path = path;
  entry.status = 200;
  entry.bytes = 12;
  entry.duration = 1005us;
  entry.protocol = "HTTP/2";
  entry.tls = "TLSv1.3";
  std::string line;
  append_line(line, entry, WallTime{1'700'000'000'007});
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line";
  const auto parsed = nlohmann::json::parse(line, nullptr, false);
  ASSERT_TRUE(parsed.is_object()) << line;
  EXPECT_EQ(parsed["time"], "2023-11-14T22:13:20.007Z");
  EXPECT_EQ(parsed["ms"], 1.005);
  EXPECT_EQ(parsed["status"], 200);
  EXPECT_EQ(parsed["resumed"], false);
}

TEST(AccessLogTest, AReaderThatStopsSlowsNobodyDownAndWhatIsLostIsCounted) {
  const std::string pipe = std::filesystem::temp_directory_path() / ("access_log_test." + std::to_string(::getpid()));
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  auto log = AccessLog::open(pipe);
  ASSERT_TRUE(log);
  AccessEntry entry;
  const std::string path(1000, 'p');
  entry.path = path;
  const std::uint64_t sent = 3 * AccessLog::kMostWaiting / path.size();
  for (std::uint64_t i = 0; i < sent; ++i) (*log)->add(entry);
  EXPECT_GT((*log)->dropped(), sent / 4);
  EXPECT_GT((*log)->lines(), sent / 8);
  EXPECT_EQ((*log)->dropped() + (*log)->lines(), sent);
  log->reset();  // comes to an end, too
  ::close(reader);
  std::filesystem::remove(pipe);
}

TEST(AccessLogTest, AFileThatCannotBeWrittenIsSaid) {
  const auto log = AccessLog::open("/nowhere/access.log");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, Code::kIo);
  EXPECT_NE(log.error().message.find("/nowhere/access.log"), std::string::npos);
}

class ServerAccessLogTest : public HttpServerTest {
 protected:
  ServerAccessLogTest() : path_(certificates_.dir() + "/access.log") { options_.access_log = path_; }
  const std::string path_;
};
INSTANTIATE_TEST_SUITE_P(Tls, ServerAccessLogTest, ::testing::Values(true));

TEST_P(ServerAccessLogTest, HasALineForEachRequestOfBothVersionsAndForWhatWasRefused) {
  start();
  TestClient old(server_->port(kTls), TestClient::Tls{certificates_.client()});
  ASSERT_TRUE(old.send("GET /prepared?token=secret HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-1\r\n\r\n"));
  EXPECT_EQ(old.answer().status, 200);
  ASSERT_TRUE(old.send("GET / nonsense\r\n\r\n"));
  EXPECT_EQ(old.answer().status, 400);
  TestClient fresh(server_->port(kTls), TestClient::Tls{{}, 0, nullptr, "\x02h2"});
  using Peer = Http2TestPeer;
  ASSERT_TRUE(fresh.send(
      Peer::hello() + Peer::headers(1, Peer::request_fields("POST", "/two", {{"content-length", "1000000"}}), false) +
      Peer::get(3, "/three")));
  ASSERT_TRUE(lines_become(path_, 4));
  const auto lines = read_lines(path_);
  const auto with = [&](const char* name, const nlohmann::json& value) {
    for (const auto& line : lines) {
      if (line.contains(name) && line[name] == value) return line;
    }
    return nlohmann::json::object();
  };
  const auto first = with("request_id", "r-1");
  EXPECT_EQ(first["path"], "/prepared") << "the query is left out";
  EXPECT_EQ(first["bytes"], 13);
  EXPECT_EQ(first["protocol"], "HTTP/1.1");
  EXPECT_EQ(first["tls"], "TLSv1.3");
  EXPECT_EQ(first["client"], "127.0.0.1");
  EXPECT_EQ(first["identity"], "evercert://test/edge/one");
  EXPECT_EQ(with("status", 400)["protocol"], "HTTP/1.1");
  EXPECT_EQ(with("status", 413)["path"], "/two");
  EXPECT_EQ(with("path", "/three")["protocol"], "HTTP/2");
}

TEST_P(ServerAccessLogTest, GoesOnInANewFileWhenTheOldOneWasMovedAway) {
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/1")));
  EXPECT_EQ(client->answer().status, 200);
  ASSERT_TRUE(lines_become(path_, 1));
  std::filesystem::rename(path_, path_ + ".1");
  server_->reload();
  for (int tries = 0; tries < 250 && !std::filesystem::exists(path_); ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_TRUE(client->send(get("/2")));
  EXPECT_EQ(client->answer().status, 200);
  EXPECT_TRUE(lines_become(path_, 1));
  EXPECT_EQ(read_lines(path_ + ".1").size(), 1u);
}

}  // namespace
}  // namespace evercert::net
