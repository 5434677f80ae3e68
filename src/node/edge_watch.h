// SPDX-License-Identifier: Apache-2.0
// What the edges of a node's region use of their processors, and how many of them answer: asked all at once, so that
// dead ones together take no longer than one.
#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "base/task_scope.h"
#include "net/http_client.h"

namespace evercert::node {

class EdgeWatch {
 public:
  // `client` outlives the watch.
  EdgeWatch(const std::vector<net::HttpTarget>& edges, net::HttpClient& client) : client_(client) {
    for (const auto& edge : edges) edges_.push_back({edge, {}, 0});
  }
  // For whoever ends the executor.
  void stop() { tasks_.cancel(); }

  // Asks all edges; over within kDeadline. One look at a time, on one executor's thread.
  Task<void> look(Executor& on);
  static constexpr Duration kDeadline = 900ms;

  struct Seen {
    double busy = 0, cores = 0;    // of those that answered twice: each says how much it has used since its start
    int edges = 0, answering = 0;  // 0 edges: nobody has looked yet. One that is silent for the second time answers not
  };
  Seen seen() const;  // any thread

 private:
  struct Said {
    double seconds = 0;  // of processor time
    double cores = 0;
    Instant at;
  };
  struct Edge {
    net::HttpTarget target;
    std::optional<Said> before;
    int silent = 0;  // looks in a row
  };
  Task<std::optional<Said>> ask(Executor& on, net::HttpTarget edge);

  net::HttpClient& client_;
  std::vector<Edge> edges_;
  TaskScope tasks_;
  mutable std::mutex mutex_;
  Seen seen_;
};

}  // namespace evercert::node
