// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "config/config.h"
#include "store/layout.h"

namespace evercert::node {

// The replicas that a cluster file names.
inline store::Layout layout_of(const config::ClusterConfig& config) {
  store::Layout layout;
  layout.regions = static_cast<std::uint8_t>(config.regions.size());
  for (const auto& region : config.regions) {
    if (region.witness) layout.witnesses |= store::region_bit(region.id);
    for (const auto& node : region.nodes) layout.nodes.push_back(node.id);
  }
  std::sort(layout.nodes.begin(), layout.nodes.end());
  return layout;
}

}  // namespace evercert::node
