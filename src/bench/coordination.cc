// SPDX-License-Identifier: Apache-2.0
// The key space beside an etcd of three members: the same clients and values, TLS everywhere, each with its own usual
// timing (heartbeats every 150 ms here, every 100 ms there; an election after some 1.2 and 1 s).
#include <filesystem>

#include "bench/space_load.h"
#include "bench/workbench.h"
#include "config/paths.h"

namespace evercert::bench {
namespace {

const std::vector<int> kAtOnce{16, 64, 256};
constexpr int kValueBytes = 256, kWatchedASecond = 200;
constexpr int kEtcdPeerPort = 2380;

SpaceTarget target_of(const config::ClusterConfig& config) {
  const config::Paths paths(config.dir);
  SpaceTarget target{{}, paths.root_certificate(), paths.operator_certificate(), paths.operator_key()};
  for (const auto& region : config.regions) {
    for (const auto& node : region.nodes)
      target.endpoints.push_back(node.address + ":" + std::to_string(node.coordination_port));
  }
  return target;
}

// With the addresses and certificates of the cluster's nodes, which have ended.
Result<std::vector<demo::Process>> start_etcd(const std::string& program, const config::ClusterConfig& config,
                                              const std::string& dir) {
  std::error_code ignored;
  std::filesystem::remove_all(dir, ignored);
  EC_TRY(os::disk().make_dirs(dir));
  const config::Paths paths(config.dir);
  std::string members;
  for (const auto& region : config.regions) {
    members += (members.empty() ? "" : ",") + region.name + "=https://" + region.nodes.front().address + ":" +
               std::to_string(kEtcdPeerPort);
  }
  std::vector<demo::Process> processes;
  const OnCore server(kServerCore);
  for (const auto& region : config.regions) {
    const auto& node = region.nodes.front();
    const std::string client = "https://" + node.address + ":" + std::to_string(node.coordination_port);
    const std::string peer = "https://" + node.address + ":" + std::to_string(kEtcdPeerPort);
    const std::string identity = paths.node(region.name, node.zone);
    EC_ASSIGN(auto process,
              demo::Process::start_program(
                  {program, "--name", region.name, "--data-dir", dir + "/" + region.name, "--listen-client-urls",
                   client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                   "--initial-advertise-peer-urls", peer, "--initial-cluster", members, "--cert-file",
                   identity + ".pem", "--key-file", identity + ".key", "--client-cert-auth", "--trusted-ca-file",
                   paths.root_certificate(), "--peer-cert-file", identity + ".pem", "--peer-key-file",
                   identity + ".key", "--peer-client-cert-auth", "--peer-trusted-ca-file", paths.root_certificate(),
                   // They come from 127.0.0.1, which no certificate names.
                   "--experimental-peer-skip-client-san-verification", "--logger", "zap", "--log-level", "error"},
                  dir + "/" + region.name + ".log", {}, 0));
    processes.push_back(std::move(process));
  }
  for (const auto& region : config.regions)
    EC_TRY(wait_for_port(region.nodes.front().address, region.nodes.front().coordination_port, 20s));
  return processes;
}

using Load = std::function<Result<Rate>(const SpaceTarget& target, int at_once)>;

std::vector<Contender> both(Workbench& bench, const config::ClusterConfig& config, const std::string& etcd,
                            const Load& load) {
  const auto measured = [&config, load](int at_once) -> Result<std::optional<Rate>> {
    const OnCore clients(kClientCore);
    EC_ASSIGN(const auto rate, load(target_of(config), at_once));
    return std::optional(rate);
  };
  std::vector<Contender> contenders{
      {"evercert", "Evercert, 3 regions durable", true, [&bench, measured](int at_once) {
         auto rate = Result<std::optional<Rate>>{};
         if (const Status started = bench.start_cluster("coordination", false, Workbench::Timing::kUsual); !started)
           return Result<std::optional<Rate>>(fail(started.error()));
         rate = measured(at_once);
         bench.cluster.reset();
         return rate;
       }}};
  if (!etcd.empty()) {
    contenders.push_back({"etcd", "etcd, 3 members", false,
                          [&bench, &config, etcd, measured](int at_once) -> Result<std::optional<Rate>> {
                            EC_ASSIGN(const auto processes, start_etcd(etcd, config, bench.dir + "/etcd"));
                            return measured(at_once);
                          }});
  }
  return contenders;
}

}  // namespace

Status coordination(Workbench& bench) {
  EC_TRY(bench.start_cluster("coordination", false, Workbench::Timing::kUsual));
  const config::ClusterConfig config = bench.cluster->config();
  const std::string etcd = find_program("etcd", bench.options.peers);
  auto& out = bench.results["coordination"];
  const auto watched = [&](const char* name) -> Status {
    const OnCore clients(kClientCore);
    EC_ASSIGN(const auto delivery, watch_load(target_of(config), kWatchedASecond, bench.options.seconds));
    line(std::string(name) + ", put answered to event elsewhere", delivery.from_answer);
    line(std::string(name) + ", put sent to event elsewhere", delivery.from_put);
    out["watch"][name] = {{"from_answer", to_json(delivery.from_answer)}, {"from_put", to_json(delivery.from_put)}};
    return {};
  };
  EC_TRY(watched("evercert"));
  bench.cluster.reset();
  if (!etcd.empty()) {
    EC_ASSIGN(const auto processes, start_etcd(etcd, config, bench.dir + "/etcd"));
    EC_TRY(watched("etcd"));
  }
  const int seconds = bench.options.seconds;
  EC_TRY(compare(bench, kAtOnce,
                 both(bench, config, etcd,
                      [seconds](const SpaceTarget& target, int at_once) {
                        return put_load(target, at_once, seconds, kValueBytes);
                      }),
                 out["put"]));
  return compare(
      bench, kAtOnce,
      both(bench, config, etcd,
           [seconds](const SpaceTarget& target, int at_once) { return lock_load(target, at_once, seconds); }),
      out["lock"]);
}

}  // namespace evercert::bench
