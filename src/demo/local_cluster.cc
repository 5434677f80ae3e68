// SPDX-License-Identifier: Apache-2.0
#include "demo/local_cluster.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ceremony/ceremony.h"
#include "demo/clock.h"

namespace evercert::demo {
namespace {

using nlohmann::json;

constexpr std::uint16_t kResolverPort = 5353;

}  // namespace

Result<std::unique_ptr<LocalCluster>> LocalCluster::create(LocalClusterOptions options) {
  std::unique_ptr<LocalCluster> cluster(new LocalCluster(std::move(options)));
  EC_TRY(cluster->make());
  return cluster;
}

LocalCluster::~LocalCluster() {
  for (auto& region : edges_) region.end();
  for (auto& region : nodes_) {
    for (auto& node : region) node.end();
  }
  if (temporary_) {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }
}

Status LocalCluster::make() {
  dir_ = options_.dir;
  if (dir_.empty()) {
    char path[] = "/tmp/evercert-XXXXXX";
    if (mkdtemp(path) == nullptr) return fail(Code::kIo, "no temporary folder can be made");
    dir_ = path;
    temporary_ = true;
  }
  dir_ = std::filesystem::absolute(dir_).lexically_normal().string();
  EC_TRY(os::disk().make_dirs(dir_ + "/logs"));
  ceremony::CeremonyOptions ceremony;
  ceremony.dir = dir_;
  ceremony.name = "demo";
  ceremony.zones = options_.zones;
  ceremony.wan = options_.wan;
  ceremony.hsm = options_.hsm;
  ceremony.loopback_timing = options_.loopback_timing;
  ceremony.http01_port = kHttp01Port;
  ceremony.resolver = "127.0.0.1:" + std::to_string(kResolverPort);
  options_.progress("Making a cluster of three regions in " + dir_);
  EC_TRY(ceremony::run(ceremony, [this](const std::string& line) { options_.progress("  " + line); }));
  EC_ASSIGN(config_, config::load_cluster(dir_ + "/cluster.yaml"));
  EC_ASSIGN(client_, OperatorClient::create(config_));
  nodes_.resize(config_.regions.size());
  edges_.resize(config_.regions.size());
  return {};
}

Status LocalCluster::start() {
  EC_ASSIGN(dns_, net::DemoDns::start("127.0.0.1", kResolverPort, "127.0.0.1"));
  const Instant begun = now();
  for (std::size_t r = 0; r < config_.regions.size(); ++r) EC_TRY(start_region(r));
  EC_TRY(wait_ready(30s));
  start_ms_ = static_cast<double>((now() - begun).count()) / 1000;
  return {};
}

Status LocalCluster::start_region(std::size_t r) {
  const auto& region = config_.regions[r];
  nodes_[r].clear();
  for (const auto& node : region.nodes) {
    const std::string zone = std::to_string(node.zone);
    EC_ASSIGN(auto process, Process::start({"node", "--die-with-parent", "--cluster", config_.path, "--region",
                                            region.name, "--zone", zone, "--data", data_dir(r, node.zone)},
                                           dir_ + "/logs/" + region.name + "-node-" + zone + ".log"));
    nodes_[r].push_back(std::move(process));
  }
  EC_ASSIGN(edges_[r], Process::start({"edge", "--die-with-parent", "--cluster", config_.path, "--region", region.name},
                                      dir_ + "/logs/" + region.name + "-edge.log"));
  return {};
}

void LocalCluster::kill_region(std::size_t r) {
  edges_[r].kill_hard();
  for (auto& node : nodes_[r]) node.kill_hard();
}

void LocalCluster::signal_region(std::size_t r, int signal) {
  ::kill(edges_[r].pid(), signal);
  for (auto& node : nodes_[r]) ::kill(node.pid(), signal);
}
void LocalCluster::freeze_region(std::size_t r) { signal_region(r, SIGSTOP); }
void LocalCluster::thaw_region(std::size_t r) { signal_region(r, SIGCONT); }

bool LocalCluster::running(std::size_t r) { return !nodes_[r].empty() && nodes_[r].front().running(); }

std::string LocalCluster::data_dir(std::size_t r, int zone) const {
  return dir_ + "/data/" + config_.regions[r].name + "-" + std::to_string(zone);
}

bool LocalCluster::ready(std::size_t r) {
  for (std::size_t n = 0; n < config_.regions[r].nodes.size(); ++n) {
    const auto response = client_->ask_node(r, n, "/readyz");
    if (!response || response->status != 200) return false;
  }
  const auto edge = client_->ask_edge(r, "/readyz");
  return edge && edge->status == 200;
}

Status LocalCluster::wait_ready(Duration patience) {
  const Instant end = now() + patience;
  for (std::size_t r = 0; r < config_.regions.size(); ++r) {
    while (!ready(r)) {
      if (options_.interrupted()) return fail(Code::kUnavailable, "interrupted");
      for (auto& node : nodes_[r]) {
        if (!node.running())
          return fail(Code::kUnavailable, "a node of " + config_.regions[r].name + " ended: " + node.log_tail());
      }
      if (!edges_[r].running())
        return fail(Code::kUnavailable, "the edge of " + config_.regions[r].name + " ended: " + edges_[r].log_tail());
      if (now() > end)
        return fail(Code::kUnavailable,
                    config_.regions[r].name + " does not become ready: " + nodes_[r].front().log_tail());
      usleep(20'000);
    }
  }
  return {};
}

Status LocalCluster::describe() const {
  json out{{"ca_bundle", dir_ + "/public/bundle.pem"},
           {"operator_token", dir_ + "/operator/token"},
           {"cluster_file", config_.path},
           {"http01_port", kHttp01Port},
           {"resolver", "127.0.0.1:" + std::to_string(kResolverPort)},
           {"regions", json::array()}};
  for (std::size_t r = 0; r < config_.regions.size(); ++r) {
    const auto& region = config_.regions[r];
    const auto& edge = region.edges.front();
    const std::string plain = "http://" + edge.address + ":" + std::to_string(edge.http_port);
    json entry{
        {"name", region.name},
        {"edge_url", "https://" + edge.address + ":" + std::to_string(edge.https_port)},
        {"acme_directory", "https://" + edge.address + ":" + std::to_string(edge.https_port) + "/acme/directory"},
        {"ocsp_url", plain + "/ocsp"},
        {"crl_url", plain + "/crl/" + region.name + ".crl"},
        {"edge_pid", edges_[r].pid()},
        {"edge_command", edges_[r].command()},
        {"nodes", json::array()}};
    for (std::size_t n = 0; n < region.nodes.size(); ++n) {
      const auto& node = region.nodes[n];
      entry["nodes"].push_back({{"id", node.id.value},
                                {"pid", nodes_[r][n].pid()},
                                {"url", "http://" + node.address + ":" + std::to_string(node.status_port)},
                                {"data_dir", data_dir(r, node.zone)},
                                {"command", nodes_[r][n].command()}});
    }
    out["regions"].push_back(std::move(entry));
  }
  return write_file_durably(os::disk(), dir_ + "/cluster.json", out.dump(2) + "\n");
}

}  // namespace evercert::demo
