// SPDX-License-Identifier: Apache-2.0
// What can go wrong, and how it is put right again: the hands of plan.h and swarm.h, which decide when. Counts.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/world.h"

namespace evercert::sim {

class Faults {
 public:
  // A node that goes down without a set time comes back after a time between these.
  struct Down {
    Duration min = 100ms, max = 4s;
  };
  Faults(World& world, SeededRandom& random, Down down);

  // Nodes stop dead; with `lasting`, for exactly so long.
  void kill(const std::vector<NodeId>& nodes, std::optional<Duration> lasting = {});
  // Power goes in the middle of one of the node's next disk operations.
  void lose_power_in_a_write(NodeId node);
  // False when not everybody is well: two forgetful replicas of three are beyond what any quorum can bear.
  bool lose_disk(NodeId node, std::optional<Duration> lasting = {});
  // Every write to these disks takes so much longer.
  void slow_disk(const std::vector<NodeId>& nodes, Duration by, Duration lasting);
  // Links, cut until heal(), or for `lasting`.
  void cut(RegionId from, RegionId to, std::optional<Duration> lasting = {});
  void isolate(RegionId region, std::optional<Duration> lasting = {});
  void heal();

  // Everything is healed and started.
  void end();
  void count(const std::string& name) { ++counts_[name]; }
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }
  std::vector<NodeId> nodes_of(RegionId region) const;

 private:
  using Links = std::vector<std::pair<NodeId, NodeId>>;
  void cut_links(const Links& links, std::optional<Duration> lasting);
  bool all_well();

  World& world_;
  SeededRandom& random_;
  Down down_;
  std::map<NodeId, Duration> set_times_;  // of nodes that are being taken down
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace evercert::sim
