// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "config/config.h"
#include "store/layout.h"

namespace evercert::node {

// The replicas that a cluster file names: those that are spare are none in the beginning, but for `self`.
inline store::Layout layout_of(const config::ClusterConfig& config, NodeId self) {
  store::Layout layout;
  layout.regions = static_cast<std::uint8_t>(config.regions.size());
  for (const auto& region : config.regions) {
    if (region.witness) layout.witnesses |= store::region_bit(region.id);
    for (const auto& node : region.nodes) {
      if (!node.spare || node.id == self) layout.nodes.push_back(node.id);
    }
  }
  std::sort(layout.nodes.begin(), layout.nodes.end());
  return layout;
}

}  // namespace evercert::node
