// SPDX-License-Identifier: Apache-2.0
// One thread of an HttpServer: its listening sockets, its connections, and what these share while one of them is
// served. For .cc files of net only.
#pragma once

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "net/access_log.h"
#include "net/http_parse.h"
#include "net/http_server.h"
#include "net/outbox.h"
#include "net/readiness.h"
#include "net/server_tls.h"

namespace evercert::net {

class HttpConnection;

// Since the start; any thread.
struct HttpCounts {
  using Count = std::atomic<std::uint64_t>;
  Count connections{0}, turned_away{0}, turned_away_by_client{0}, wrong_proxy_headers{0};
  Count full_handshakes{0}, resumed_handshakes{0}, failed_handshakes{0};
  Count http2_connections{0}, http2_faults{0};
};

// How many connections each client has; see HttpServerOptions::max_connections_per_client. Any thread.
class ClientCounts {
 public:
  // False: it has `most` already.
  bool enter(const std::string& client, std::size_t most) {
    std::lock_guard lock(mutex_);
    std::size_t& count = counts_[client];
    return count < most && ++count > 0;
  }
  void leave(const std::string& client) {
    std::lock_guard lock(mutex_);
    const auto found = counts_.find(client);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> counts_;
};

// Common to the threads of a server.
struct HttpShared {
  HttpServerOptions options;
  HttpHandler handler;
  std::atomic<bool> draining{false};
  std::atomic<std::size_t> connections{0};
  HttpCounts counts;
  ClientCounts clients;
  std::unique_ptr<AccessLog> access_log;  // null: none
};

class HttpWorker {
 public:
  using Clock = std::chrono::steady_clock;

  explicit HttpWorker(HttpShared& shared);
  ~HttpWorker();

  // Before start(). The port that was bound; `tls` is null for plain connections. `options` live as long as the server.
  Result<std::uint16_t> listen(const HttpListener& options, std::uint16_t port, std::shared_ptr<const ServerTls> tls);
  // The same with a socket that listens already; owns it.
  Result<std::uint16_t> adopt(const HttpListener& options, int socket, std::shared_ptr<const ServerTls> tls);
  // In the order in which they were made.
  const std::vector<int>& sockets() const { return sockets_; }
  void start();
  // From any thread.
  void stop_listening();
  // Requests that were received and whose answers are not on their way yet.
  std::size_t busy() const { return busy_.load(std::memory_order_acquire); }
  // Ends the thread.
  void stop() { thread_.stop(); }
  // After that: closes the connections and destroys the handlers that wait.
  void cut();

  // For connections, on the thread:
  HttpShared& shared() { return shared_; }
  AsioThread& thread() { return thread_; }
  Clock::time_point now() const { return now_; }
  // While a connection is served: where it reads to, and where its answers gather.
  std::span<char> input() { return input_; }
  Outbox& output() { return output_; }
  HttpConnection* serving() const { return serving_; }
  void serve(HttpConnection& connection);
  // The same, outside of a turn of the sockets.
  void resume(HttpConnection& connection);
  // Serves it again after the others had their turn.
  void serve_later(HttpConnection& connection);
  std::unique_ptr<RequestParser> take_parser();
  void give_back(std::unique_ptr<RequestParser> parser);
  void count_busy(bool more) {  // one thread writes
    busy_.store(busy_.load(std::memory_order_relaxed) + (more ? 1 : std::size_t(-1)), std::memory_order_release);
  }
  // What strangers do is said in the log ten times a second at most; the metrics count all of it.
  bool may_log();
  // Its socket is closed and its handler at its end: destroyed after the turn.
  void finished(HttpConnection& connection);

 private:
  class Listener;

  void accepted(int socket, const Listener& listener, std::string peer);
  void arm_sweep();
  void sweep();

  HttpShared& shared_;
  AsioThread thread_;
  Readiness readiness_{thread_.context};
  Timer sweep_timer_{thread_.context};
  bool sweeping_ = false;
  Duration sweep_interval_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<int> sockets_;
  std::vector<std::unique_ptr<HttpConnection>> connections_, finished_;
  std::vector<char> input_;
  Outbox output_;
  HttpConnection* serving_ = nullptr;
  std::unique_ptr<RequestParser> spare_parser_;
  Clock::time_point now_, logged_since_;
  int logged_ = 0;
  std::atomic<std::size_t> busy_{0};
};

}  // namespace evercert::net
