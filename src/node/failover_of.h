// SPDX-License-Identifier: Apache-2.0
// What the cluster file says to the failover controller, and health to what a node tells it.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "config/config.h"
#include "config/paths.h"
#include "node/failover_office.h"
#include "node/health_watch.h"
#include "node/roster.h"

namespace evercert::node {

inline FailoverOptions failover_options(const config::ClusterConfig& config, const config::NodeConfig& self,
                                        const std::string& cluster_file, const std::string& data_dir) {
  FailoverOptions options;
  options.self = self.id;
  options.cluster_name = config.name;
  options.name = name_of(config, self.id);
  const config::Paths paths(config.dir);
  for (const auto& region : config.regions) {
    if (region.witness && !region.removed) ++options.witness_regions;
    if (region.id != region_of(self.id)) continue;
    options.certificate_file = paths.node(region.name, self.zone) + ".pem";
    options.key_file = paths.node(region.name, self.zone) + ".key";
    options.spare.cluster_file = cluster_file;
    options.spare.region = region.name;
    for (const auto& edge : region.edges) options.edges.push_back({edge.address, edge.https_port, true, edge.address});
    if (region.nodes.empty() || region.nodes.front().id != self.id) continue;
    for (std::size_t e = 0; e < region.edges.size(); ++e) {
      if (region.edges[e].spare) options.spare.edges.push_back(static_cast<int>(e) + 1);
    }
    for (const auto& node : region.nodes) {
      if (!node.spare) continue;
      options.spare.nodes.push_back({node.id, node.zone, node.address, data_dir + "-spare-" + std::to_string(node.zone),
                                     node.peer_port, node.coordination_port, node.status_port});
    }
  }
  return options;
}

// `root_der`: the cluster's root certificate.
inline api::LogTrust log_trust(const config::ClusterConfig& config, std::string root_der) {
  // Also of nodes that came later: whoever has the region's key certified them, as those of the file.
  std::set<RegionId> regions;
  for (const auto& region : config.regions) regions.insert(region.id);
  return {config.name, std::move(root_der), [config, regions = std::move(regions)](NodeId node) {
            return regions.contains(region_of(node)) ? name_of(config, node) : std::string();
          }};
}

inline void look_at(const HealthWatch& health, recovery::Observation& seen) {
  auto eyes = health.eyes();
  seen.out = std::move(eyes.out);
  seen.nodes = std::move(eyes.nodes);
  for (const auto& [region, part] : eyes.report.regions) seen.scores[region] = part.points;
  for (const auto& [name, part] : eyes.report.components) seen.components[name] = part.points;
}

}  // namespace evercert::node
