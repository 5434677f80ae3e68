// SPDX-License-Identifier: Apache-2.0
#include "node/store_setup.h"

#include "config/paths.h"
#include "node/layout_of.h"

namespace evercert::node {
namespace {

coordination::CompactionPolicy policy_of(const config::CompactionConfig& wanted) {
  using Mode = coordination::CompactionPolicy::Mode;
  coordination::CompactionPolicy policy;
  policy.mode = wanted.mode == "periodic" ? Mode::kPeriodic : wanted.mode == "revision" ? Mode::kRevision : Mode::kOff;
  policy.retention = std::chrono::seconds(wanted.retention_seconds);
  policy.revisions = wanted.retention_revisions;
  return policy;
}

net::LinkDelays delays_of(const config::ClusterConfig& config) {
  net::LinkDelays delays;
  if (!config.emulated_wan) return delays;
  for (const auto& link : config.links) {
    const RegionId a = config.region(link.a)->id, b = config.region(link.b)->id;
    delays.links[{std::min(a, b), std::max(a, b)}] = {link.p50_ms, link.p90_ms};
  }
  return delays;
}

}  // namespace

store::RuntimeOptions runtime_options(const config::ClusterConfig& config, const config::NodeConfig& self,
                                      const std::string& data_dir, bool may_found) {
  store::RuntimeOptions runtime{.engine = {}, .data_dir = data_dir};
  auto& engine = runtime.engine;
  const auto& timing = config.timing;
  engine.layout = layout_of(config, self.id);
  engine.self = self.id;
  engine.may_found = may_found && !self.spare;
  engine.cluster_id = config.id;
  engine.tick = timing.tick;
  engine.election_ticks = static_cast<std::uint64_t>(timing.election / timing.tick);
  engine.heartbeat_ticks = static_cast<std::uint64_t>(timing.heartbeat / timing.tick);
  engine.lease = {timing.lease_ttl, timing.lease_renew, timing.near_lag, 0.03};
  engine.fence = {timing.fence_after, timing.readmit_after};
  engine.compaction = policy_of(config.compaction);
  engine.submit_silence = timing.election;
  engine.submit_pause = timing.tick / 2;
  engine.read_retry = 2 * timing.heartbeat;
  // A region that missed 100,000 entries of one group is caught up from the log: less to send than the whole state,
  // and nothing to put in its place. Some 200 MB of log for each group.
  engine.keep = 120'000;
  return runtime;
}

net::PeerTransportOptions transport_options(const config::ClusterConfig& config, const config::RegionConfig& region,
                                            const config::NodeConfig& self, store::Runtime& store) {
  net::PeerTransportOptions options;
  options.self = self.id;
  options.cluster = config.name;
  options.cluster_id = store.cluster_id();
  options.start_id = store.start_id();
  options.listen_address = self.address;
  options.listen_port = self.peer_port;
  options.tls = tls_of(config, region, self);
  options.delays = delays_of(config);
  for (const auto& one : config.regions) {
    // Where a spare node is reached, the membership record says while it is one of the nodes.
    for (const auto& node : one.nodes) {
      if (!node.spare) options.peers.push_back({node.id, node.address, node.peer_port});
    }
  }
  return options;
}

net::TlsFiles tls_of(const config::ClusterConfig& config, const config::RegionConfig& region,
                     const config::NodeConfig& self) {
  const config::Paths paths(config.dir);
  const std::string base = paths.node(region.name, self.zone);
  return {base + ".pem", base + ".key", paths.root_certificate()};
}

std::vector<net::PeerAddress> added_peers(const store::v1::Membership& membership) {
  std::vector<net::PeerAddress> added;
  for (const auto& replica : membership.replicas().nodes()) {
    if (replica.address().empty() || replica.peer_port() == 0) continue;
    added.push_back({NodeId{replica.node()}, replica.address(), static_cast<std::uint16_t>(replica.peer_port())});
  }
  return added;
}

}  // namespace evercert::node
