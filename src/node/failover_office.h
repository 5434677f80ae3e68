// SPDX-License-Identifier: Apache-2.0
// Runs the failover controller on the nodes: one of them is elected in the key space and holds a lock, whose token
// every write compares; it looks at all nodes each second, and carries out what the controller has decided and written
// down. The decisions are recovery/failover; nothing of the data path waits for any of this.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/admin/admin.h"
#include "api/coordination/locks.h"
#include "api/failover/failover.h"
#include "base/os/system.h"
#include "base/task_scope.h"
#include "node/edge_watch.h"
#include "node/failover_effects.h"
#include "node/failover_space.h"
#include "node/failover_succession.h"
#include "node/log_signer.h"
#include "node/roster.h"
#include "node/spare_workers.h"
#include "recovery/capacity/meter.h"
#include "recovery/capacity/planner.h"
#include "recovery/capacity/scaler.h"
#include "recovery/failover/incident_times.h"
#include "recovery/failover/session.h"
#include "store/runtime.h"

namespace evercert::node {

struct FailoverOptions {
  NodeId self;
  std::string name;                             // "us-east-1/1"
  std::map<RegionId, std::string> issuer_ders;  // certificates
  std::string cluster_name;
  std::string certificate_file, key_file;  // of the node, PEM: it signs what it writes as a controller
  SpareOptions spare;
  std::vector<net::HttpTarget> edges;  // of the region
  std::size_t witness_regions = 0;     // that count in a majority of regions and carry nothing
};

class FailoverOffice {
 public:
  // `eyes`: health, as this node sees it, into an observation; `queue`: what waits on it. Everything given outlives the
  // office.
  FailoverOffice(FailoverOptions options, RosterWatch& roster, store::Runtime& store, api::Coordinator& coordinator,
                 api::Locks& locks, recovery::Meter& meter, net::HttpClient& client,
                 std::function<void(recovery::Observation&)> eyes);
  ~FailoverOffice() { stop(); }
  void start();
  void stop();

  // Any thread.
  recovery::Observation observe();
  // What this node does about failover; for whoever asks (api/failover).
  api::FailoverSeat seat() const;
  // How long incidents took, as counters; see docs/failover.md.
  void watch_by(api::Admin& admin);
  // From what this node has seen of all since it started.
  recovery::CapacityReport capacity() const;
  // POST /v1/capacity/workers, for the controller on another node alone.
  void mount(api::Router& router);
  // Looks at all nodes now, and says what a plan for the region would be.
  Task<Result<recovery::Rehearsal>> rehearse(Executor& on, RegionId region);

 private:
  struct Term {  // in office
    std::int64_t lease = 0, token = 0;
    Instant until{};  // by this clock the lease has surely not ended before
    bool over = false;
  };
  using Seen = std::map<NodeId, recovery::Seen>;
  Task<void> run();
  Task<void> contend();
  Task<void> keep(std::shared_ptr<Term> term, std::shared_ptr<api::Cancellation> cancellation);
  Task<void> serve(std::shared_ptr<Term> term);
  Task<Result<recovery::Session>> begin(std::int64_t token);
  Task<std::vector<recovery::LogEntry>> oldest_of_log();
  Task<bool> turn(const std::shared_ptr<Term>& term, recovery::Session& session, Seen& seen);
  Task<recovery::Policy> read_policy();
  Task<std::vector<recovery::Order>> read_orders();
  Task<recovery::Picture> look(Executor& on, Seen& seen);
  Task<std::pair<NodeId, Result<recovery::Observation>>> ask(Executor& on, NodeId node,
                                                             std::shared_ptr<const Roster> roster);
  Task<void> tend_spare_nodes();
  Task<void> tend(const SpareNode& node);
  void carry_out(const std::shared_ptr<Term>& term, recovery::Effect effect, const Seen& seen);
  void stand_by_workers(const std::shared_ptr<Term>& term, const Seen& seen);
  net::HttpResponse set_workers(const net::HttpRequest& request);
  void tell(std::string what);
  void measure();
  Task<void> watch_capacity();

  const FailoverOptions options_;
  RosterWatch& roster_;
  store::Runtime& store_;
  api::Coordinator& coordinator_;
  api::Locks& locks_;
  recovery::Meter& meter_;
  net::HttpClient& client_;
  std::function<void(recovery::Observation&)> eyes_;
  FailoverSpace space_;
  FailoverSuccession succession_;
  FailoverEffects effects_;
  std::unique_ptr<os::ThreadExecutor> executor_;
  std::shared_ptr<const Roster> term_roster_;  // of the time in office; of the executor's thread
  std::vector<std::pair<recovery::Effect, Result<std::string>>> results_;  // of the executor's thread
  std::string told_, policy_told_;
  std::string shown_signer_;  // whose certificate lies in the key space, since this time in office began
  Instant signer_due_{}, oldest_due_{};
  mutable std::mutex mutex_;
  api::FailoverSeat seat_;
  recovery::TimesTaken times_taken_;
  EdgeWatch edges_;
  recovery::Planner planner_;
  LogSigner signer_;    // of the executor's thread
  SpareWorkers spare_;  // with `scaler_`, under the mutex
  recovery::Scaler scaler_;
  std::string wanted_lock_;  // of the controller that wanted it; empty: nobody, or one of an earlier version
  bool affirming_ = false;   // of the executor's thread
  TaskScope tasks_;
};

}  // namespace evercert::node
