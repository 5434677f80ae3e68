// SPDX-License-Identifier: Apache-2.0
// What can go wrong, and how it is put right again: the hands of plan.h, which decides when. Also the person who
// repairs: a node that refuses its damaged disk gets an empty one when the others are well. Counts.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/world.h"

namespace evercert::sim {

class Faults {
 public:
  explicit Faults(World& world);

  // Nodes end, and start again after `lasting`.
  void kill(const std::vector<NodeId>& nodes, Duration lasting, World::End how);
  // Power goes in the middle of the n-th disk operation from now.
  void lose_power_in_a_write(NodeId node, std::uint64_t operation, Duration lasting);
  // False when not everybody is well: two forgetful replicas of three are beyond what any quorum can bear.
  bool lose_disk(NodeId node, Duration lasting);
  // A person moves the data of a node away whose state is wrong. The logs of those that err are whole. False when not
  // everybody else has a whole one.
  bool empty_disk(NodeId node);
  void slow_disk(NodeId node, Duration by, Duration lasting);
  void fill_disk(NodeId node, std::uint64_t bytes_left, Duration lasting);
  // The node stops by itself and is started again after `lasting`.
  void fail_sync(NodeId node, Duration lasting);
  // One damaged node at a time, as with lost disks: false when not everybody is well.
  bool may_damage(NodeId node);
  // One that errs at a time, while the others are well or down.
  bool may_err(NodeId node);
  // Links, cut until heal(), or for `lasting`.
  void cut(RegionId from, RegionId to, std::optional<Duration> lasting);
  void isolate(RegionId region, std::optional<Duration> lasting);
  void heal();

  // Everything is healed and started.
  void end();
  void count(const std::string& name) { ++counts_[name]; }
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }
  std::vector<NodeId> nodes_of(RegionId region) const;

 private:
  using Links = std::vector<std::pair<NodeId, NodeId>>;
  void cut_links(const Links& links, std::optional<Duration> lasting);
  enum class Erring : std::uint8_t { kDamaged, kWell };
  bool others_well(NodeId node, Erring erring = Erring::kDamaged);
  bool others_have_all(NodeId node);
  void repair(NodeId node, const Error& error);

  World& world_;
  // They hold what a region that stores may lack, unless one is still to come, or a snapshot has begun one anew.
  bool witness_logs_whole_ = true;
  std::map<NodeId, Duration> set_times_;  // of nodes that are about to go down
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace evercert::sim
