// SPDX-License-Identifier: Apache-2.0
// What the cluster file says of work without a majority, for those who act on it.
#pragma once

#include <chrono>
#include <string>

#include "config/config.h"
#include "degraded/policy.h"

namespace evercert::node {

inline degraded::Policy policy_of(const config::DegradedConfig& said) {
  const auto of_kind = [](const config::DegradedConfig::OfKind& kind) {
    return degraded::Policy::OfKind{kind.queue, std::chrono::minutes(kind.expires_minutes)};
  };
  return {of_kind(said.revocation), of_kind(said.renewal), of_kind(said.issuance)};
}

// The name of a node, for people; empty: there is no such.
inline std::string place_of(const config::ClusterConfig& config, NodeId id) {
  for (const auto& region : config.regions) {
    for (const auto& node : region.nodes) {
      if (node.id == id) return "the node in zone " + std::to_string(node.zone) + " of " + region.name;
    }
  }
  return "";
}

}  // namespace evercert::node
