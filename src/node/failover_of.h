// SPDX-License-Identifier: Apache-2.0
// What the cluster file says to the failover controller, and health to what a node tells it.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "config/config.h"
#include "node/failover_office.h"
#include "node/health_watch.h"

namespace evercert::node {

inline FailoverOptions failover_options(const config::ClusterConfig& config, const config::NodeConfig& self) {
  FailoverOptions options;
  options.self = self.id;
  options.cluster_name = config.name;
  for (const auto& region : config.regions) {
    if (region.witness || region.removed) continue;
    options.cluster.regions[region.id] = region.name;
    for (const auto& node : region.nodes) {
      options.cluster.nodes[node.id] = region.id;
      options.peers.targets[node.id] = {node.address, node.api_port, true,
                                        "node-" + std::to_string(node.id.value) + "." + config.name + ".internal"};
      if (node.id == self.id) options.region = region.name;
      if (node.id == self.id) options.name = region.name + "/" + std::to_string(node.zone);
    }
  }
  return options;
}

inline void look_at(const HealthWatch& health, recovery::Observation& seen) {
  auto eyes = health.eyes();
  seen.out = std::move(eyes.out);
  seen.nodes = std::move(eyes.nodes);
  for (const auto& [region, part] : eyes.report.regions) seen.scores[region] = part.points;
  for (const auto& [name, part] : eyes.report.components) seen.components[name] = part.points;
}

}  // namespace evercert::node
