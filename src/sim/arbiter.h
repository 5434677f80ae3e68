// SPDX-License-Identifier: Apache-2.0
// The person who is asked when states differ and no majority can tell which is right: finds out whose memory failed
// (the world knows), and has that node and those that copied from it rebuilt from one that is right, one after the
// other, as docs/cycles/membership.md says ("When nobody can tell").
#pragma once

#include <set>

#include "sim/faults.h"
#include "sim/operator.h"
#include "sim/world.h"

namespace evercert::sim {

class Arbiter {
 public:
  Arbiter(World& world, Faults& faults, Operator& hands) : world_(world), faults_(faults), operator_(hands) {}
  // Looks on from now on.
  void start();
  // Nothing is to be put right.
  bool idle() const { return drained_.empty() && !since_; }

 private:
  void look();
  std::set<NodeId> wrong() const;
  void trust_again();
  bool leads(NodeId node) const;
  void rebuild(const std::set<NodeId>& wrong);

  World& world_;
  Faults& faults_;
  Operator& operator_;
  std::optional<Instant> since_, well_since_;  // states differ, or do not
  std::set<RegionId> drained_;
};

}  // namespace evercert::sim
