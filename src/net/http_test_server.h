// SPDX-License-Identifier: Apache-2.0
// For the tests of HttpServer: one with a handler for each thing that a handler can do, plain and over TLS.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "net/http_server.h"
#include "net/http_test_client.h"

namespace evercert::net {

// Where handlers wait until the test lets them go on.
class TestGate {
 public:
  void wait(std::move_only_function<void(bool)> resolve) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(resolve));
    changed_.notify_all();
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(5), [&] { return waiting_.size() >= count; });
  }
  void open() {
    std::vector<std::move_only_function<void(bool)>> all;
    {
      const std::lock_guard lock(mutex_);
      all.swap(waiting_);
    }
    for (auto& resolve : all) resolve(true);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::move_only_function<void(bool)>> waiting_;
};

// Counts in its destructor: a handler's frame was destroyed, at its end or before.
struct TestGuard {
  explicit TestGuard(std::atomic<int>& c) : counter(c) {}
  TestGuard(const TestGuard&) = delete;
  ~TestGuard() { ++counter; }
  std::atomic<int>& counter;
};

inline std::string test_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>('a' + i * 7 % 26);
  return bytes;
}

// The parameter: over TLS.
class HttpServerTest : public ::testing::TestWithParam<bool> {
 protected:
  enum Port { kPlain = 0, kTls = 1 };

  HttpServerTest() {
    options_.listeners.push_back({"127.0.0.1", 0, false, {}, ClientCertificates::kNone});
    options_.listeners.push_back({"127.0.0.1", 0, true, certificates_.server(), ClientCertificates::kOptional});
  }

  void start() {
    auto started = HttpServer::start(options_, [this](HttpRequest request) { return handle(std::move(request)); });
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }

  std::unique_ptr<TestClient> connect(int receive_buffer = 0) {
    if (!server_) start();
    const std::optional<TestClient::Tls> tls = GetParam() ? std::optional(TestClient::Tls{}) : std::nullopt;
    return std::make_unique<TestClient>(server_->port(GetParam() ? kTls : kPlain), tls, receive_buffer);
  }

  Task<HttpResponse> handle(HttpRequest request) {
    ++handled_;
    HttpResponse response;
    if (request.path == "/later") {
      const TestGuard guard(ended_);
      auto begin = [this](auto resolve) { gate_.wait(std::move(resolve)); };
      auto later = suspend_on<bool>(*request.executor, begin);
      co_await later;
      ++resumed_;
      response.body = "later " + request.query;
    } else if (request.path == "/big") {
      response.shared_body = big_;
    } else if (request.path == "/bigown") {
      response.body = *big_;
    } else if (request.path == "/prepared") {
      response.prepared = prepared_;
    } else if (request.path == "/nothing") {
      response.status = 204;
    } else if (request.path == "/throw") {
      throw std::runtime_error("as planned");
    } else if (request.path == "/identity") {
      response.body =
          request.client_identity + (request.tls ? " over TLS" : " plain") + " from " + request.peer_address;
    } else if (request.path == "/headers") {
      for (const auto& [name, value] : request.headers.all())
        response.body += std::string(name) + "=" + std::string(value) + "\n";
    } else if (request.path == "/break") {
      response.headers.add("Broken", "a\r\nInjected: yes");
      response.headers.add("Content-Length", "1");
      response.headers.add("Connection", "upgrade");
      response.headers.add("Whole", "yes");
    } else {
      response.headers.add("Echo", "yes");
      response.body = request.method + " " + request.target + "\n" + request.body;
    }
    co_return response;
  }

  // A request that asks for nothing special.
  static std::string get(const std::string& target) { return "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"; }

  const TestCertificates certificates_;
  HttpServerOptions options_;
  TestGate gate_;
  std::atomic<int> handled_{0}, resumed_{0}, ended_{0};
  std::shared_ptr<const std::string> big_ = std::make_shared<const std::string>(test_bytes(24 << 20));
  std::shared_ptr<const std::string> prepared_ = [] {
    HttpResponse response;
    response.headers.add("Content-Type", "text/plain");
    response.body = "prepared body";
    return prepare(response);
  }();
  std::unique_ptr<HttpServer> server_;
};

}  // namespace evercert::net
