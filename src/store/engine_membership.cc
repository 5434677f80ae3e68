// SPDX-License-Identifier: Apache-2.0
// Membership's part of the engine: what nodes say of their promises, what the leader of the global group makes of it,
// and leaders that leave a region which is drained or fenced.
#include <algorithm>

#include "base/log.h"
#include "base/probe.h"
#include "store/engine.h"
#include "store/membership_keeper.h"

namespace evercert::store {

namespace {

void note_proposal(const v1::Command& command) {
  if (command.has_record_reformation()) {
    EC_PROBE("a reformation of the groups is written down");
    return log_warning("store: the groups were made anew: " + command.record_reformation().losses());
  }
  const auto& change = command.change_membership();
  const bool fence = change.state() == v1::FENCED;
  if (fence) EC_PROBE("a silent region is fenced");
  if (!fence) EC_PROBE("a region is admitted");
  log_warning("store: region " + std::to_string(change.region()) + " is to be " + (fence ? "fenced: " : "admitted: ") +
              change.reason());
}

}  // namespace

const MembershipBoard& Engine::membership() const { return membership_->board(); }
RegionSet Engine::attested_silent() const { return membership_->attested_silent(); }

void Engine::membership_round(Instant now) {
  RegionSet in_some = 0, in_all = ~RegionSet{0};
  bool remembers = true;
  for (const auto& group : groups_) {
    const RegionSet heard = group->heard(now);
    in_some |= heard;
    in_all &= heard;
    remembers = remembers && group->gate_open();
  }
  in_all &= ~unshown(now);
  Group& global = *groups_[kGlobalGroup.value];
  if (!remembers || recovery_.asking()) {
    membership_->forget_promises(now);
  } else if (auto attestation = membership_->attest(in_some, in_all, now)) {
    if (global.leads()) {
      membership_->told(options_.self, *attestation, now);
    } else if (global.leader() != NodeId{0}) {
      *to(global.leader())->mutable_attestation() = std::move(*attestation);
    }
  }
  if (!global.leads() || witness()) return;
  for (auto& proposal : membership_->due(now)) {
    if (proposal.group != kGlobalGroup) {
      EC_PROBE("a fence is carried into a home group");
      submissions_.add(proposal.group, proposal.command.SerializeAsString(), now + 2s, [](Result<v1::Outcome>) {});
      continue;
    }
    note_proposal(proposal.command);
    // Refused or lost: it is due again in a moment.
    global.propose(proposal.command.SerializeAsString(), wall_.now(), [](Result<v1::Outcome>) {});
  }
}

void Engine::on_attestation(NodeId from, const v1::Attestation& attestation, Instant now) {
  if (groups_[kGlobalGroup.value]->leads()) membership_->told(from, attestation, now);
}

const Configuration& Engine::newest_members(const Group& group) const {
  const auto told = told_members_.find(group.id());
  return told == told_members_.end() || told->second.first <= group.applied_index() ? group.configuration()
                                                                                    : told->second.second;
}

void Engine::on_members(const v1::MembersReport& report) {
  const GroupId id{report.group()};
  if (!has(id)) return;
  auto members = decode_configuration(report.configuration(), options_.layout.regions);
  if (!members || members->lineage != groups_[id.value]->configuration().lineage) return;
  auto& [applied, newest] = told_members_[id];
  if (applied < LogIndex{report.applied()}) {
    applied = LogIndex{report.applied()};
    newest = std::move(*members);
  }
}

// The leader of the global group may have left the others, whose changes it waits for.
void Engine::tell_members() {
  const NodeId waits = groups_.front()->leader();
  if (waits == NodeId{0} || waits == options_.self) return;
  for (auto group = groups_.begin() + 1; group != groups_.end(); ++group) {
    if (!(*group)->leads() || (*group)->configuration().contains(waits)) continue;
    EC_PROBE("a group's members are told to a leader that is none of them");
    v1::MembersReport* report = to(waits)->mutable_members();
    report->set_group((*group)->id().value);
    report->set_applied((*group)->applied_index().value);
    report->set_configuration(encode((*group)->configuration()));
  }
}

// The voters that a person wants (ChangeReplicas) are brought about in every group, each by its own leader.
void Engine::move_members() {
  if (witness()) return;  // whoever it hands over to does it
  std::vector<NodeId> wanted = wanted_voters(membership_->record());
  if (wanted.empty()) return;
  // Who leads a group must hear what is wanted, from the global group: nobody votes in another who does not follow
  // there, and the global group itself lets nobody go before all others are done.
  const Configuration& global = groups_[kGlobalGroup.value]->configuration();
  const bool follow = std::ranges::all_of(wanted, [&](NodeId node) { return global.contains(node); });
  const bool others_done = std::all_of(groups_.begin() + 1, groups_.end(),
                                       [&](const auto& group) { return newest_members(*group).consists_of(wanted); });
  // What is wanted may have changed while the global group was on its way, and it may have let go, by now, of somebody
  // who votes in another group, and leads it perhaps: such a one follows again until that group is done.
  std::set<NodeId> guests;
  for (auto group = groups_.begin() + 1; group != groups_.end(); ++group) {
    const std::vector<NodeId> members = newest_members(**group).members();
    guests.insert(members.begin(), members.end());
  }
  for (auto& group : groups_) {
    const bool is_global = group->id() == kGlobalGroup;
    group->move_towards(wanted, is_global ? !others_done : !follow,
                        is_global ? std::vector<NodeId>(guests.begin(), guests.end()) : std::vector<NodeId>{});
  }
}

// It votes, and is not about to be removed.
bool Engine::may_lead(const Group& group, NodeId node) const {
  const std::vector<NodeId> wanted = wanted_voters(membership_->record());
  return group.configuration().votes_everywhere(node) && (wanted.empty() || std::ranges::binary_search(wanted, node));
}

// After a change of a group's members, or of what is wanted.
void Engine::members_moved(const Group& group) {
  if (group.id() == kGlobalGroup) options_.layout.nodes = group.configuration().voters();
  others_.clear();
  others_.insert(founders_.begin(), founders_.end());
  for (const NodeId node : wanted_voters(membership_->record())) others_.insert(node);
  std::vector<Configuration> all;
  for (const auto& each : groups_) {
    all.push_back(each->configuration());
    const auto members = each->configuration().members();
    others_.insert(members.begin(), members.end());
  }
  others_.erase(options_.self);
  membership_->members_moved(std::move(all));
}

// True when this leader's region is drained or fenced, so that it is not for home that it should leave.
bool Engine::send_leader_away(Group& group, Instant now) {
  if (!group.leads() || membership_->serves(region_of(options_.self))) return false;
  const RegionSet near = membership_->serving_regions() & group.promised(now);
  std::optional<FollowerStatus> best;
  for (const FollowerStatus& follower : group.raft().followers()) {
    if ((near & region_bit(region_of(follower.node))) == 0 || !follower.recent_active) continue;
    if (!may_lead(group, follower.node)) continue;
    if (!best || follower.matched > best->matched) best = follower;
  }
  if (best && best->matched >= group.status().commit) {
    EC_PROBE("a leader leaves a region that does not serve");
    group.raft().transfer_leader(best->node);
  }
  return true;
}

}  // namespace evercert::store
