// SPDX-License-Identifier: Apache-2.0
// A cluster of three regions on this machine: made, started, killed in parts, restarted, ended.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "demo/operator_client.h"
#include "demo/process.h"
#include "net/dns.h"

namespace evercert::demo {

// ACME validation: names under .test are this machine, and web servers answer here.
inline constexpr std::uint16_t kHttp01Port = 5002;

struct LocalClusterOptions {
  std::string dir;  // empty: a temporary one, removed at the end
  int zones = 1;
  bool wan = true;  // emulated, with the timing for it
  bool hsm = true;  // SoftHSM2 tokens; otherwise keys in files
  std::function<void(const std::string&)> progress;
  std::function<bool()> interrupted;
  bool loopback_timing = !wan;
};

class LocalCluster {
 public:
  static Result<std::unique_ptr<LocalCluster>> create(LocalClusterOptions options);
  ~LocalCluster();

  // Everything, until it is ready to issue.
  Status start();
  Status start_region(std::size_t region);
  void kill_region(std::size_t region);  // SIGKILL
  // SIGSTOP and SIGCONT: frozen processes hear and say nothing, and forget nothing.
  void freeze_region(std::size_t region);
  void thaw_region(std::size_t region);
  bool running(std::size_t region);
  Status wait_ready(Duration patience);
  double start_ms() const { return start_ms_; }  // from the first process to ready

  OperatorClient& client() { return *client_; }

  // `dir`/cluster.json, for programs that use the cluster.
  Status describe() const;
  const config::ClusterConfig& config() const { return config_; }
  const std::string& dir() const { return dir_; }
  const std::string& token() const { return client_->token(); }
  pid_t edge_pid(std::size_t region) const { return edges_[region].pid(); }
  std::string data_dir(std::size_t region, int zone) const;
  pid_t node_pid(std::size_t region, std::size_t node) const { return nodes_[region][node].pid(); }

 private:
  explicit LocalCluster(LocalClusterOptions options) : options_(std::move(options)) {}
  Status make();
  bool ready(std::size_t region);
  void signal_region(std::size_t region, int signal);

  LocalClusterOptions options_;
  config::ClusterConfig config_;
  std::string dir_;
  bool temporary_ = false;
  std::vector<std::vector<Process>> nodes_;
  std::vector<Process> edges_;
  std::unique_ptr<net::DemoDns> dns_;
  std::unique_ptr<OperatorClient> client_;
  double start_ms_ = 0;
};

}  // namespace evercert::demo
