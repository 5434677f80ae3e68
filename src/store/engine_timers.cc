// SPDX-License-Identifier: Apache-2.0
// What happens because time has passed.
#include "base/probe.h"
#include "coordination/keyspace.h"
#include "store/coordination_state.h"
#include "store/engine.h"
#include "store/membership_keeper.h"
#include "store/snapshots.h"

namespace evercert::store {

void Engine::tick(Instant now) {
  for (auto& group : groups_) {
    group->tick(now);
    if (group->try_open_gate(now)) {
      EC_PROBE("a gate opens: the log has reached its floor");
      log_.remove_meta("floor/" + std::to_string(group->id().value));
      // A new cluster need not wait for time-outs: the home replica asks at once. The core's pre-vote keeps this from
      // disturbing a leader that others can hear.
      const RegionId home = options_.layout.home(group->id());
      if (region_of(options_.self) == home && group->status().term == Term{0}) group->campaign_now();
    }
  }
  if (recovery_.asking() && next_recovery_ask_ <= now) {
    next_recovery_ask_ = now + 2 * options_.tick;
    recovery_.asks_again();
    for (const NodeId node : others_) to(node)->mutable_recovery_ask()->set_incarnation(start_id_);
  }
  for (auto& [node, chunk] : snapshot_sender_->repeated(now)) *to(node)->mutable_snapshot_chunk() = std::move(chunk);
  for (const auto& [group, node] : snapshot_sender_->expired(now)) {
    EC_PROBE("a snapshot's receiver falls silent");
    groups_[group.value]->raft().report_snapshot(node, false);
  }
  if (next_lease_round_ <= now) {
    next_lease_round_ = now + options_.lease.renew;
    lease_round(now);
    membership_round(now);
    move_members();
    tell_members();
    cut_witness_logs(now);
  }
  if (next_audit_round_ <= now) {
    next_audit_round_ = now + options_.fence.readmit / 2;
    audit_round();
  }
  if (next_ack_round_ <= now) {
    next_ack_round_ = now + options_.lease.renew / 4;
    repeat_acknowledgements(now);
    tell_positions();
    for (auto& group : groups_) lead_no_longer(*group);
  }
  if (next_home_round_ <= now) {
    next_home_round_ = now + options_.lease.renew;
    send_leaders_home(now);
  }
  if (next_clock_round_ <= now) {
    next_clock_round_ = now + 2s;
    for (const NodeId node : others_) {
      v1::ClockReport* report = to(node)->mutable_clock();
      report->set_wall_ms(wall_.now().ms);
      report->set_echo_us(now.us);
      report->set_named_regions(named_.count);
      report->set_named_witnesses(named_.witnesses);
      const auto echo = clock_echoes_.find(node);
      if (echo == clock_echoes_.end()) continue;
      report->set_reply_to_us(echo->second.echo_us);
      report->set_held_us((now - echo->second.received).count());
    }
  }
  watch_quorums(now);
  submissions_.expire(now);
  end_coordination_leases(now);
  compact_key_space(now);
}

Status Engine::load_coordination_leases(Instant now) {
  EC_ASSIGN(const auto leases, coordination::list_leases(*coordination_view(kv_)));
  coordination_leases_.reset(leases, now);
  return {};
}

void Engine::end_coordination_leases(Instant now) {
  Group& group = *groups_[kGlobalGroup.value];
  if (group.leader() != coordination_leader_) {
    coordination_leader_ = group.leader();
    coordination_leases_.restart(now);
  }
  if (!group.leads()) return;
  for (auto& expire : coordination_leases_.due(now)) {
    EC_PROBE("a lease of the key space runs out");
    coordination::v1::Command command;
    *command.mutable_expire() = std::move(expire);
    propose(command);
  }
}

// What is lost is found due again.
void Engine::propose(const coordination::v1::Command& command) {
  v1::Command entry;
  entry.set_coordination(command.SerializeAsString());
  groups_[kGlobalGroup.value]->propose(entry.SerializeAsString(), wall_.now(), [](Result<v1::Outcome>) {});
}

void Engine::compact_key_space(Instant now) {
  if (!coordination_compaction_.due(now)) return;
  const auto meta = coordination::read_meta(*coordination_view(kv_));
  if (!meta) {
    fatal_ = fail(meta.error());
    return;
  }
  const auto to = coordination_compaction_.look(*meta, now);
  if (!to || !groups_[kGlobalGroup.value]->leads()) return;
  EC_PROBE("the history of the key space is cut");
  coordination::v1::Command command;
  command.mutable_compact()->set_revision(*to);
  propose(command);
}

void Engine::watch_quorums(Instant now) {
  for (auto& group : groups_) {
    // A witness that leads for long has nobody to hand over to: nothing is written or known there.
    const NodeId leader = group->leader();
    quorum_.saw(group->id(), leader != NodeId{0} && !options_.layout.is_witness(region_of(leader)), now);
    if (!quorum_.lost_since(group->id(), now)) continue;
    EC_PROBE("a group without a majority refuses at once");
    submissions_.no_quorum(group->id());
  }
}

// Asks the other regions for promises. A replica whose gate is closed does not know enough to hold any.
void Engine::lease_round(Instant now) {
  v1::LeaseRequest request;
  request.set_sent_us(now.us);
  for (auto& group : groups_) {
    if (!group->gate_open()) continue;
    const Position reached = group->lease().region_position();
    auto* entry = request.add_positions();
    entry->set_group(group->id().value);
    entry->mutable_position()->set_term(reached.term.value);
    entry->mutable_position()->set_index(reached.index.value);
  }
  if (request.positions_size() == 0) return;
  for (const NodeId node : others_) {
    if (region_of(node) != region_of(options_.self)) *to(node)->mutable_lease_request() = request;
  }
}

// Says again what is durable here, with the promises of now: a promise that has lapsed since must not hold up entries
// that were acknowledged while it stood.
void Engine::repeat_acknowledgements(Instant now) {
  for (auto& group : groups_) {
    if (group->leader() == NodeId{0} || group->leader() == options_.self) continue;
    const Group::Acknowledged acknowledged = group->repeatable_acknowledgement();
    v1::AckReport* report = to(group->leader())->mutable_ack();
    report->set_group(group->id().value);
    report->set_term(acknowledged.term.value);
    report->set_index(acknowledged.index.value);
    report->set_promised_regions(group->promised(now));
    report->set_remembers(group->gate_open());
  }
}

void Engine::tell_positions() {
  v1::RegionPositions positions;
  for (auto& group : groups_) {
    const Position last = group->last_position();
    auto* entry = positions.add_positions();
    entry->set_group(group->id().value);
    entry->mutable_position()->set_term(last.term.value);
    entry->mutable_position()->set_index(last.index.value);
  }
  for (const NodeId node : others_) {
    if (region_of(node) == region_of(options_.self)) {
      *to(node)->mutable_region_positions() = positions;
    }
  }
}

// A group is led from its home region when home is well: its writes then need one round trip. Home is well when this
// leader has promised to it (so it keeps up) for a while and its replica is heard.
void Engine::send_leaders_home(Instant now) {
  for (auto& group : groups_) {
    const RegionId home = options_.layout.home(group->id());
    if (send_leader_away(*group, now) || !membership_->serves(home) || !group->leads() ||
        region_of(options_.self) == home || (group->promised(now) & region_bit(home)) == 0) {
      home_ready_since_.erase(group->id());
      continue;
    }
    const auto [since, fresh] = home_ready_since_.try_emplace(group->id(), now);
    if (fresh || now - since->second < options_.lease.ttl) continue;
    for (const FollowerStatus& follower : group->raft().followers()) {
      if (region_of(follower.node) != home || !follower.recent_active || !may_lead(*group, follower.node)) continue;
      if (follower.matched < group->status().commit) continue;
      EC_PROBE("a leader is sent home");
      group->raft().transfer_leader(follower.node);
      home_ready_since_.erase(group->id());
      break;
    }
  }
}

void Engine::publish_lease(Group& group) {
  const Instant until = group.gate_open() && !leads_unwillingly() ? group.lease().leased_until() : Instant{0};
  board_.set_leased_until(group.id(), until, group.configuration().alone_in_region(options_.self));
  if (group.id() == kGlobalGroup) membership_->leased_until(until);
}

void Engine::publish_leases() {
  for (auto& group : groups_) publish_lease(*group);
}

}  // namespace evercert::store
