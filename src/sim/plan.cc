// SPDX-License-Identifier: Apache-2.0
#include "sim/plan.h"

namespace evercert::sim {

void Plan::start() {
  for (const PlannedFault& fault : planned_) {
    Duration at = fault.at;
    do {
      world_.at(at, [this, &fault] { strike(fault); });
      at += fault.every.value_or(0us);
    } while (fault.every && at <= fault.until);
  }
}

void Plan::strike(const PlannedFault& fault) {
  if (!running_) return;
  const auto nodes = fault.zone ? std::vector{node_id(fault.region, *fault.zone)} : faults_.nodes_of(fault.region);
  switch (fault.kind) {
    case PlannedFault::Kind::kKill:
      faults_.count(fault.zone ? "node killed" : "region killed");
      return faults_.kill(nodes, fault.lasting);
    case PlannedFault::Kind::kWipe: return lose_disk(nodes.front(), fault.lasting);
    case PlannedFault::Kind::kTear:
      faults_.count("power lost in a write");
      for (const NodeId node : nodes) faults_.lose_power_in_a_write(node);
      return;
    case PlannedFault::Kind::kSlowDisk:
      faults_.count("disk slow");
      return faults_.slow_disk(nodes, fault.by, fault.lasting);
    case PlannedFault::Kind::kIsolate:
      faults_.count("region cut off");
      return faults_.isolate(fault.region, fault.lasting);
    case PlannedFault::Kind::kCut:
      faults_.count("link cut one way");
      return faults_.cut(fault.region, fault.to, fault.lasting);
  }
}

// Waits until everybody is well: a second forgetful replica would be more than any quorum can bear.
void Plan::lose_disk(NodeId node, Duration lasting) {
  if (!running_) return;
  if (faults_.lose_disk(node, lasting)) return faults_.count("disk lost");
  world_.at(100ms, [this, node, lasting] { lose_disk(node, lasting); });
}

}  // namespace evercert::sim
