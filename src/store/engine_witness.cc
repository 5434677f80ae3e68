// SPDX-License-Identifier: Apache-2.0
// What a witness does otherwise than a replica that keeps records, and what the others do because of it. See
// docs/cycles/topology.md.
#include <algorithm>
#include <tuple>

#include "base/probe.h"
#include "store/engine.h"
#include "store/membership_keeper.h"
#include "store/snapshots.h"

namespace evercert::store {

// Of a home group a witness has no records to give, and is given none.
Result<SnapshotMeta> Engine::snapshot_for(GroupId group, NodeId node) {
  const bool members_only = group != kGlobalGroup && options_.layout.is_witness(region_of(node));
  if (!keeps_records(group) && !members_only && options_.bug != Bug::kWitnessSnapshot) {
    EC_PROBE("a witness that leads has no snapshot for a replica that stores");
    return fail(Code::kUnavailable, "a witness has no records");
  }
  if (options_.doubted) {
    EC_PROBE("a state that is in doubt is given to nobody");
    return fail(Code::kUnavailable, "a person holds this node's state for wrong");
  }
  EC_ASSIGN(const auto position, read_applied(kv_, group));
  return snapshot_sender_->prepare(group, node, position, members_only);
}

bool Engine::takes_snapshot(NodeId from, GroupId group) const {
  return group == kGlobalGroup || witness() || !options_.layout.is_witness(region_of(from)) ||
         options_.bug == Bug::kWitnessSnapshot;
}

// It leads because nobody else had the newest entry, and until somebody who stores has it too: if its own state is in
// doubt, best one whose state is another.
void Engine::lead_no_longer(Group& group) {
  if (!leads_unwillingly() || !group.leads()) return;
  const RegionId home = options_.layout.home(group.id());
  // Best is who stays; but it may be that all who store and vote are to be replaced, and one of them must see to that.
  const Configuration& members = group.configuration();
  const auto rank = [&](const FollowerStatus& follower) {
    const RegionId region = region_of(follower.node);
    const bool stays = std::ranges::binary_search(members.voters(), follower.node);
    const bool other_state = audit_.differs(group.id(), follower.node).has_value();
    return std::tuple{other_state, may_lead(group, follower.node), stays, membership_->serves(region), region == home};
  };
  std::optional<FollowerStatus> best;
  for (const FollowerStatus& follower : group.raft().followers()) {
    if (options_.layout.is_witness(region_of(follower.node)) || !follower.recent_active) continue;
    if (follower.matched < group.status().last || !group.remembers(follower.node)) continue;
    if (!members.votes(follower.node)) continue;
    if (!best || rank(follower) > rank(*best)) best = follower;
  }
  if (!best) return;
  if (witness()) EC_PROBE("a witness that leads hands over");
  else EC_PROBE("a leader whose state is in doubt hands over");
  group.raft().transfer_leader(best->node);
}

void Engine::cut_witness_logs(Instant now) {
  if (!witness()) return;
  const bool any = next_witness_cut_ <= now;  // a few entries too, now and then: they hold up whole segments
  std::vector<std::pair<GroupId, LogIndex>> cuts;
  for (const auto& group : groups_) {
    const GroupId id = group->id();
    if (keeps_records(id)) continue;
    RegionSet storing = 0;
    for (const Layout& half : group->configuration().halves) storing |= storing_regions(half);
    storing &= ~options_.layout.witnesses;
    const LogIndex first = log_.first_index(id), applied = group->applied_index();
    const LogIndex to = options_.bug == Bug::kWitnessCutsLog
                            ? applied
                            : witness_logs_[id.value].may_cut(storing, first, applied, options_.witness_most,
                                                              [&](LogIndex index) { return log_.term(id, index); });
    const std::uint64_t entries = to.value + 1 - std::min(first.value, to.value + 1);
    if (entries >= (any ? 1 : options_.witness_cut)) cuts.emplace_back(id, to);
  }
  if (any) next_witness_cut_ = now + 100 * options_.lease.renew;
  if (cuts.empty()) return;
  // As in compact().
  if (const Status flushed = kv_.flush(); !flushed) {
    fatal_ = flushed;
    return;
  }
  EC_PROBE("a witness cuts its log");
  for (const auto& [id, to] : cuts) log_.compact(id, to);
}

}  // namespace evercert::store
