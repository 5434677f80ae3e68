// SPDX-License-Identifier: Apache-2.0
// Ends the leases of those who are passed over in the election of the controller (recovery/failover/succession.h), so
// that the next one need not wait until they lapse. Every node of another region does, each second.
#pragma once

#include <vector>

#include "api/coordination/coordinator.h"
#include "base/ids.h"
#include "base/task.h"
#include "node/failover_space.h"
#include "node/roster.h"
#include "recovery/failover/succession.h"
#include "store/runtime.h"

namespace evercert::node {

class FailoverSuccession {
 public:
  // Everything given outlives every task that it gave out.
  FailoverSuccession(NodeId self, RosterWatch& roster, store::Runtime& store, api::Coordinator& coordinator,
                     FailoverSpace& space)
      : self_(self), roster_(roster), store_(store), coordinator_(coordinator), space_(space) {}

  // The node's own region is heard, as far as it knows.
  bool may_contend() const;
  // Each second, for ever.
  Task<void> run(Executor& on);

 private:
  Task<void> review(Executor& on);
  bool unheard(RegionId region) const;
  Task<std::vector<recovery::Contender>> in_the_way(Executor& on);

  const NodeId self_;
  RosterWatch& roster_;
  store::Runtime& store_;
  api::Coordinator& coordinator_;
  FailoverSpace& space_;
};

}  // namespace evercert::node
