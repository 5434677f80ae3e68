// SPDX-License-Identifier: Apache-2.0
// From the members that a group has to those that it should have, one step at a time: who is new follows first and
// catches up; then old and new voters decide together (joint consensus); then the new ones alone. All that is to be
// known is in the group itself, so a new leader goes on where the last one stopped. Pure.
#pragma once

#include <optional>
#include <vector>

#include "store/configuration.h"

namespace evercert::store {

// A node without a memory of its own (a new one is no other) is not made a voter before it has caught up with all that
// it may have forgotten.
// What the leader of a group does next. Neither: there is nothing to do, or something must come about first.
struct Step {
  std::optional<MembersChange> change;
  std::optional<NodeId> hand_over;  // leadership: who is to be removed must not lead on
};
// `present`: settled, and no change is under way. `wanted`: voters, ascending. `commit`: of the group; `followers`: as
// its leader `self` sees them.
// `witnesses`: regions to whose nodes nobody hands over.
// `gather`: for the time being nobody is let go and no voter changes; new nodes follow already, and so do the `guests`.
Step next_step(const Configuration& present, const std::vector<NodeId>& wanted, NodeId self, LogIndex commit,
               const std::vector<FollowerStatus>& followers, bool gather = false,
               const std::vector<NodeId>& guests = {}, RegionSet witnesses = 0);

}  // namespace evercert::store
