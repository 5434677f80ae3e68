// SPDX-License-Identifier: Apache-2.0
// What the cluster file says to the failover controller, and health to what a node tells it.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "config/config.h"
#include "config/paths.h"
#include "node/failover_office.h"
#include "node/health_watch.h"

namespace evercert::node {

inline FailoverOptions failover_options(const config::ClusterConfig& config, const config::NodeConfig& self) {
  FailoverOptions options;
  options.self = self.id;
  options.cluster_name = config.name;
  const config::Paths paths(config.dir);
  for (const auto& region : config.regions) {
    if (region.witness || region.removed) continue;
    options.cluster.regions[region.id] = region.name;
    for (const auto& node : region.nodes) {
      options.cluster.nodes[node.id] = region.id;
      options.peers.targets[node.id] = {node.address, node.api_port, true,
                                        "node-" + std::to_string(node.id.value) + "." + config.name + ".internal"};
      if (node.id != self.id) continue;
      options.region = region.name;
      options.name = region.name + "/" + std::to_string(node.zone);
      options.certificate_file = paths.node(region.name, node.zone) + ".pem";
      options.key_file = paths.node(region.name, node.zone) + ".key";
      for (std::size_t e = 0; &node == &region.nodes.front() && e < region.edges.size(); ++e) {
        if (region.edges[e].spare) options.spare_edges.push_back(static_cast<int>(e) + 1);
      }
    }
  }
  return options;
}

// `root_der`: the cluster's root certificate.
inline api::LogTrust log_trust(const config::ClusterConfig& config, std::string root_der) {
  std::map<NodeId, std::string> names;
  for (const auto& region : config.regions) {
    for (const auto& node : region.nodes) names[node.id] = region.name + "/" + std::to_string(node.zone);
  }
  return {config.name, std::move(root_der), [names = std::move(names)](NodeId node) {
            const auto known = names.find(node);
            return known == names.end() ? std::string() : known->second;
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
