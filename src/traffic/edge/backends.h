// SPDX-License-Identifier: Apache-2.0
// Where an edge may send a request, in which order, and how well each place is. Thread-safe.
#pragma once

#include <atomic>
#include <bitset>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "traffic/edge/edge.h"

namespace evercert::traffic {

class Backend {
 public:
  Backend(EdgeEndpoint where, bool is_remote, std::size_t target, HealthThresholds thresholds)
      : endpoint(std::move(where)), remote(is_remote), link(target), health_(thresholds) {}

  const EdgeEndpoint endpoint;
  const bool remote;       // another region's edge
  const std::size_t link;  // which target of the link client, for a node
  std::atomic<int> in_flight{0};
  std::atomic<std::uint64_t> requests{0}, failures{0};

  bool healthy() const { return healthy_.load(std::memory_order_relaxed); }
  void checked(bool passed);
  void request_failed();
  std::string name() const { return endpoint.target.address + ":" + std::to_string(endpoint.target.port); }

 private:
  void publish(bool before);

  std::mutex mutex_;
  EndpointHealth health_;
  std::atomic<bool> healthy_{true};
};

class Backends {
 public:
  static constexpr std::size_t kMost = 256;
  using Tried = std::bitset<kMost>;

  // kInvalid: more than kMost.
  Status add(const EdgeEndpoint& endpoint, bool remote, HealthThresholds thresholds);
  // The best that is not among `tried`, and among them now: `preferred` when it is well; own nodes, the least busy
  // first; other regions; the unhealthy last of all, since a check may be wrong, and not at all once somebody
  // `refused`: they would be waited for to say no more than that. nullptr: none is left.
  Backend* next(Tried& tried, bool may_leave_region, const Backend* preferred = nullptr, bool refused = false);
  bool any_node_healthy() const;
  std::string metrics() const;
  const std::vector<std::unique_ptr<Backend>>& all() const { return all_; }

 private:
  std::vector<std::unique_ptr<Backend>> all_;
  std::size_t nodes_ = 0;
  std::atomic<std::size_t> turn_{0};
};

}  // namespace evercert::traffic
