// SPDX-License-Identifier: Apache-2.0
// Runs the checks of health on a node: its own database, keys, certificates, resolver, clock and disk, and the
// interfaces of all other nodes, at the specification's intervals; and tells everybody what follows. The decisions are
// health/board.h.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/admin/admin.h"
#include "api/rest/router.h"
#include "base/os/system.h"
#include "base/task_scope.h"
#include "ca/ca.h"
#include "config/config.h"
#include "health/board.h"
#include "health/foresight.h"
#include "net/dns.h"
#include "net/http_client.h"
#include "node/roster.h"
#include "pki/signer.h"
#include "store/runtime.h"

namespace evercert::node {

struct HealthWatchOptions {
  health::BoardOptions board;
  std::string data_dir;
  // What must be renewed in time: PEM files by what they are called.
  std::vector<std::pair<std::string, std::string>> certificates;
  std::vector<std::pair<RegionId, std::string>> issuers;  // whose CRLs clients are given here, and groups are read
  std::string resolver, address;                          // as the cluster file names it; from where it is asked
};
HealthWatchOptions health_options(const config::ClusterConfig& config, const config::NodeConfig& self,
                                  const Roster& roster, std::string data_dir);

class HealthWatch {
 public:
  // `key`: signs with the same token as the issuing key does, and what it signs is no certificate. Everything given
  // outlives the watch. kInvalid: no profile to try.
  static Result<std::unique_ptr<HealthWatch>> create(HealthWatchOptions options, RosterWatch& roster,
                                                     store::Runtime& store, ca::CertificateAuthority& ca,
                                                     std::shared_ptr<pki::Signer> key, net::HttpClient& client);
  ~HealthWatch() { stop(); }
  void start();
  void stop();
  // GET /v1/health: the globe, its regions, their services, the forecasts. GET /v1/health/node: this node's report.
  void mount(api::Router& router);
  // How all looks to this node.
  struct Eyes {
    health::Report report;
    std::map<RegionId, std::string> out;  // by its verdict, and why
    std::map<NodeId, double> nodes;
  };
  Eyes eyes() const;
  // Scores as gauges.
  void watch_by(api::Admin& admin);

 private:
  HealthWatch(HealthWatchOptions options, RosterWatch& roster, store::Runtime& store, ca::CertificateAuthority& ca,
              std::shared_ptr<pki::Signer> key, net::HttpClient& client, ca::IssueRequest sample);
  void follow_roster(Instant now);
  void begin_anew_as_voter(Instant now);
  void tick();
  void measure(Instant now);
  Task<void> ask(NodeId node);
  Task<void> ask_witness(NodeId node);
  struct Group {
    GroupId id;
    std::string name;
  };
  Task<store::Freshness> read(GroupId group);
  Task<void> check_groups(const char* component, std::vector<Group> groups);
  Task<void> check_resolver();
  std::vector<Group> needed_groups() const, followed_groups() const;
  void check_key();
  void check_certificates();
  void ended(const char* component, health::CheckResult result);
  void ended(const char* component, const Status& how);
  std::string describe();

  void measure_served(Instant now);
  void look_at_endings();
  void load_track_record();
  void keep_track_record();

  HealthWatchOptions options_;
  RosterWatch& roster_watch_;
  store::Runtime& store_;
  ca::CertificateAuthority& ca_;
  std::shared_ptr<pki::Signer> key_;
  net::HttpClient& client_;
  ca::IssueRequest sample_;
  mutable std::mutex mutex_;
  health::Board board_;
  health::Foresight foresight_;
  std::string kept_record_;  // as it lies in the data folder
  api::Admin* admin_ = nullptr;
  api::Admin::Served served_;
  Instant next_served_, next_endings_;
  std::map<NodeId, Instant> heard_;
  std::shared_ptr<const Roster> roster_;  // as the board has it
  std::map<NodeId, health::Component> witnesses_;
  bool votes_ = false;   // this node, in all groups,
  Instant votes_since_;  // since then
  std::atomic<bool> key_busy_{false}, issuing_key_busy_{false};
  // The machine's own resolver counts once it has answered: where it never does, nobody relies on it.
  bool resolver_counts_ = false;
  Instant next_resolver_;
  TaskScope tasks_;
  std::unique_ptr<os::ThreadExecutor> executor_, key_executor_;  // a token that hangs holds up nothing else
  std::unique_ptr<net::DnsResolver> resolver_;                   // goes before the executor that it answers on
};

}  // namespace evercert::node
