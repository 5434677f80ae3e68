// SPDX-License-Identifier: Apache-2.0
// Where an edge may send requests, how well each place is, and what may be in flight: traffic/policy/upstream.h for
// several threads. Its decisions take a few tenths of a microsecond, so that one mutex will do.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "net/http.h"
#include "net/http_client.h"
#include "traffic/policy/upstream.h"

namespace evercert::traffic {

struct EdgeEndpoint {
  net::HttpTarget target;  // of a node: where it listens for links
  RegionId region;         // of another region's edge; the own region for nodes
  bool canary = false;     // a node that runs a new release
  std::string name = {};   // as shares of traffic name it: "us-east-1/2" a node, "us-east-1" another region's edge
};

struct Backend {
  EdgeEndpoint endpoint;
  bool remote = false;     // another region's edge
  std::size_t link = 0;    // which target of the link client, for a node
  std::string name;        // address:port
  std::uint64_t hash = 0;  // stable_hash of the name
};

// What the answer to an attempt, or the want of one, says about who was asked. `all_time`: the time that was granted
// has passed.
Outcome outcome_of(const Result<net::HttpResponse>& result, bool all_time);

class Backends {
 public:
  using Tried = Upstream::Tried;
  struct Wish {
    Criticality of = Criticality::kIssuance;
    bool may_leave_region = false;
    bool may_probe = false;  // it can be repeated
    bool refused = false;    // somebody has answered 503: who would have to be waited for is not asked any more
    bool only_well = false;  // for a copy
    bool repeats = false;    // takes from the budget of repetitions,
    bool hedges = false;     // of copies
    std::optional<std::size_t> preferred{};
    // These not, while one of the other nodes of the region stands well.
    Tried avoid{};
    // Not these, all nodes of the region among them, while one of the others stands well.
    Tried elsewhere{};
  };

  Backends(const UpstreamOptions& options, MonotonicClock& clock, std::uint64_t salt)
      : clock_(clock), upstream_(options, salt), chance_(salt) {}

  // At the start only. kInvalid: more than an Upstream takes.
  Status add(EdgeEndpoint endpoint, bool remote);
  std::size_t size() const { return all_.size(); }
  std::size_t nodes() const { return nodes_; }  // of this region
  const Backend& operator[](std::size_t at) const { return *all_[at]; }

  // May one more of this class begin, when so many others were let in and have not begun?
  bool admits(Criticality of, double coming) const;
  // One was let in.
  void request();
  // Takes the next one and begins an attempt there, for which a finished() is owed. kUnavailable: nobody is left to
  // ask. kDenied: there is somebody, but the budget is used up.
  Result<Attempt> begin(Tried& tried, const Wish& wish);
  void finished(const Attempt& attempt, Outcome outcome);

  // Health: by checks, and by what others saw who asked without an attempt.
  void checked(std::size_t at, bool passed);
  void unreachable(std::size_t at);
  void told(std::size_t at, int in_flight, Duration waiting);
  void broke_off(std::size_t at);  // in the middle of an answer
  bool healthy(std::size_t at) const;
  bool any_node_healthy() const;
  // A node of this region that is healthy, `unless` it is this one.
  std::optional<std::size_t> healthy_node() const;
  enum class Drained : std::uint8_t { kByOperator, kByItself };
  void set_draining(std::size_t at, Drained by, bool draining);
  bool drained(std::size_t at, Drained by) const;

  // For everything else; on the calling thread, without suspension.
  template <class F>
  auto with(F&& f) {
    std::lock_guard lock(mutex_);
    return f(upstream_, clock_.now());
  }
  template <class F>
  auto with(F&& f) const {
    std::lock_guard lock(mutex_);
    return f(upstream_, clock_.now());
  }
  std::uint64_t requests(std::size_t at) const { return counts_[at]->requests; }
  std::uint64_t failures(std::size_t at) const { return counts_[at]->failures; }

 private:
  void blame(std::size_t at, Outcome outcome);
  struct Counts {
    std::atomic<std::uint64_t> requests{0}, failures{0};
    std::array<bool, 2> drained{};  // by Drained
  };
  void log_change(std::size_t at, bool before) const;

  MonotonicClock& clock_;
  std::vector<std::unique_ptr<const Backend>> all_;
  std::vector<std::unique_ptr<Counts>> counts_;
  std::size_t nodes_ = 0;
  mutable std::mutex mutex_;
  Upstream upstream_;
  std::uint64_t chance_;
};

}  // namespace evercert::traffic
