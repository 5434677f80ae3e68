// SPDX-License-Identifier: Apache-2.0
#include "store/reconfiguration.h"

#include <algorithm>
#include <iterator>

namespace evercert::store {
namespace {

// Entries that a follower may lack and still be taken for caught up: as a voter it has them a moment later.
constexpr std::uint64_t kNear = 64;

bool among(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

std::vector<NodeId> without(const std::vector<NodeId>& nodes, const std::vector<NodeId>& others) {
  std::vector<NodeId> left;
  std::copy_if(nodes.begin(), nodes.end(), std::back_inserter(left), [&](NodeId node) { return !among(others, node); });
  return left;
}

bool keeps_up(const FollowerStatus& follower, LogIndex commit) {
  return follower.recent_active && follower.matched.value + kNear >= commit.value;
}

// The voter that has most, of those that may lead at once.
std::optional<NodeId> heir(const std::vector<NodeId>& voters, LogIndex commit,
                           const std::vector<FollowerStatus>& followers) {
  const FollowerStatus* best = nullptr;
  for (const FollowerStatus& follower : followers) {
    if (!among(voters, follower.node) || !follower.recent_active || follower.matched < commit) continue;
    if (best == nullptr || follower.matched > best->matched) best = &follower;
  }
  return best == nullptr ? std::nullopt : std::optional(best->node);
}

}  // namespace

Step next_step(const Configuration& present, const std::vector<NodeId>& wanted, NodeId self, LogIndex commit,
               const std::vector<FollowerStatus>& followers, bool gather, const std::vector<NodeId>& guests,
               RegionSet witnesses) {
  if (wanted.empty()) return {};
  const auto storing = [&](std::vector<NodeId> nodes) {
    std::erase_if(nodes, [&](NodeId node) { return (witnesses & region_bit(region_of(node))) != 0; });
    return nodes;
  };
  if (present.joint()) {
    if (!among(present.voters(), self)) return {{}, heir(storing(present.voters()), commit, followers)};
    return {MembersChange{}, {}};
  }
  const std::vector<NodeId> heirs = storing(without(present.voters(), without(present.voters(), wanted)));
  // Of those who may lead, nobody stays: then this leader itself sees to it that somebody else decides, and does not
  // wait for groups of which it may never hear again.
  if (!among(wanted, self) && heirs.empty()) gather = false;
  std::vector<NodeId> strangers = without(wanted, present.members());
  if (strangers.empty() && gather) strangers = without(guests, present.members());
  if (!strangers.empty()) return {MembersChange{{strangers.front()}, {}, {}, false, {}}, {}};
  if (gather) {
    if (among(wanted, self)) return {};
    return {{}, heir(heirs, commit, followers)};
  }
  const std::vector<NodeId> unwanted = without(present.learners, wanted);
  if (!unwanted.empty()) return {MembersChange{{}, {}, {unwanted.front()}, false, {}}, {}};
  const std::vector<NodeId> added = without(wanted, present.voters());
  const std::vector<NodeId> removed = without(present.voters(), wanted);
  if (added.empty() && removed.empty()) return {};
  // The joint configuration decides nothing without a majority of the new voters: they must be there.
  std::size_t ready = among(wanted, self) ? 1 : 0;
  for (const FollowerStatus& follower : followers) {
    // Who does not remember does not vote: as a voter it would only make the majority larger.
    const bool votes = keeps_up(follower, commit) && follower.remembers;
    if (among(wanted, follower.node) && votes) ++ready;
    if (among(added, follower.node) && !votes) return {};
  }
  if (ready < wanted.size() / 2 + 1) return {};
  const std::vector<NodeId> staying = storing(without(present.voters(), removed));
  if (!among(wanted, self) && !staying.empty()) return {{}, heir(staying, commit, followers)};
  return {MembersChange{{}, added, removed, true, {}}, {}};
}

}  // namespace evercert::store
