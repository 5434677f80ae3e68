// SPDX-License-Identifier: Apache-2.0
// One turn of the store: what the groups have ready is sent, written, synced, acknowledged, applied, answered.
#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/log.h"
#include "base/probe.h"
#include "store/engine.h"
#include "store/keys.h"
#include "store/membership_keeper.h"
#include "store/snapshots.h"

namespace evercert::store {

Status Engine::flush(Instant now) {
  for (auto& attempt : submissions_.due(now)) {
    if (!has(attempt.group)) {
      submissions_.refused(attempt.request, now);
      continue;
    }
    Group& group = *groups_[attempt.group.value];
    if (group.leads()) {
      group.propose(std::move(attempt.command), wall_.now(),
                    [this, request = attempt.request, now](Result<v1::Outcome> result) {
                      submissions_.answered(request, std::move(result), now);
                    });
    } else if (group.leader() == NodeId{0} || options_.layout.is_witness(region_of(group.leader()))) {
      // A witness that leads takes no commands, and hands over in a moment.
      submissions_.refused(attempt.request, now);
    } else {
      v1::Forward* forward = to(group.leader())->mutable_forward();
      forward->set_request(attempt.request);
      forward->set_group(attempt.group.value);
      forward->set_command(std::move(attempt.command));
      forward->set_deadline_ms((attempt.deadline - now).count() / 1000);
    }
  }
  for (;;) {
    if (!fatal_) return fatal_;
    bool any = false;
    for (auto& group : groups_) {
      if (!group->has_ready()) continue;
      any = true;
      take_ready(*group, now);
    }
    // What could not be written must not be acknowledged below.
    if (!fatal_) return fatal_;
    deliver();
    if (!any && !applicable(now)) {
      if (more_coming && more_coming()) break;
      for (auto& group : groups_) any = group->tell_commit() || any;
      if (!any) break;
      continue;
    }
    if (options_.bug == Bug::kAckBeforeSync) {
      for (auto& group : groups_) after_sync(*group, now);
      deliver();
    }
    // A commit index alone need not be durable: it is learned again. It goes out with the next batch.
    if (std::exchange(must_sync_, false)) EC_TRY(log_.sync());
    for (auto& group : groups_) after_sync(*group, now);
    EC_TRY(apply_all(now));
    EC_TRY(begin_groups(now));
    deliver();
  }
  for (auto& group : groups_) {
    if (group->raft().broken()) {
      EC_TRY(group->log_sound());
      return fail(Code::kInternal, "the consensus core found its state impossible");
    }
    group->settle();
  }
  if (options_.bug != Bug::kIgnoreDamage) EC_TRY(snapshot_sender_->state_sound());
  snapshot_receiver_->core_has_decided();
  publish_leases();
  advance_reads(now);
  deliver();
  return fatal_;
}

void Engine::take_ready(Group& group, Instant now) {
  Ready ready = group.raft().ready();
  const std::size_t g = group.id().value;
  route(group, std::move(ready.messages), now);
  if (ready.snapshot) {
    if (const Status installed = install_snapshot(group, *ready.snapshot, now); !installed) fatal_ = installed;
  }
  if (ready.hard_state) {
    const HardState before = log_.hard_state(group.id());
    must_sync_ = must_sync_ || before.term != ready.hard_state->term || before.vote != ready.hard_state->vote;
    HardState written = *ready.hard_state;
    written.commit = std::min(written.commit, group.settled());
    if (options_.bug == Bug::kForgetVote) written.vote = NodeId{0};
    log_.set_hard_state(group.id(), written);
  }
  if (!ready.entries.empty()) {
    must_sync_ = true;
    group.appended(ready.entries, now);
    if (group.changing()) {
      // No reader may count on a lease that it saw before the change came (lease.h). And whoever has a change in its
      // log knows after a restart too that the one before it is settled.
      publish_lease(group);
      HardState written = log_.hard_state(group.id());
      written.commit = std::max(written.commit, std::min(group.status().commit, group.settled()));
      log_.set_hard_state(group.id(), written);
    }
    log_.append(group.id(), std::move(ready.entries));
  }
  for (const ReadState& state : ready.read_states) {
    std::uint64_t id = 0;
    if (state.context.size() == sizeof id) __builtin_memcpy(&id, state.context.data(), sizeof id);
    on_read_index(group.id(), id, state.index);
  }
  just_committed_[g] = std::move(ready.committed);
  after_sync_[g] = std::move(ready.persisted_messages);
  in_ready_.insert(group.id().value);
}

void Engine::after_sync(Group& group, Instant now) {
  const std::size_t g = group.id().value;
  if (in_ready_.erase(group.id().value) == 0) return;
  group.synced(wall_.now(), now);
  route(group, std::exchange(after_sync_[g], {}), now);
  LightReady light = group.raft().advance_append();
  if (group.status().applied < group.applied_index())
    group.raft().advance_applied(group.applied_index());  // a snapshot
  if (light.commit) {
    HardState state = log_.hard_state(group.id());
    state.commit = std::min(*light.commit, group.settled());
    log_.set_hard_state(group.id(), state);
  }
  route(group, std::move(light.messages), now);
  auto& committed = just_committed_[g];
  std::move(light.committed.begin(), light.committed.end(), std::back_inserter(committed));
  group.committed(committed);
  std::move(committed.begin(), committed.end(), std::back_inserter(committed_[g]));
  committed.clear();
}

void Engine::route(Group& group, std::vector<RaftMessage> messages, Instant now) {
  for (RaftMessage& message : messages) {
    if (message.type == MessageType::kSnapshot) {
      EC_PROBE("a snapshot is sent");
      for (auto& chunk : snapshot_sender_->begin(group.id(), message.to, std::move(message.bytes), now)) {
        *to(message.to)->mutable_snapshot_chunk() = std::move(chunk);
      }
      continue;
    }
    v1::GroupRaft* wire = to(message.to)->mutable_raft();
    wire->set_group(group.id().value);
    if (message.type == MessageType::kAppendResponse && !message.reject) {
      // Named at the moment of leaving: what was appended before is durable, what is promised later has its floor.
      wire->set_promised_regions(group.promised(now));
      group.sent_acknowledgement(message.term, message.index);
    }
    wire->set_message(std::move(message.bytes));
  }
}

// Whether acknowledgements that came meanwhile have settled something that waits to be applied.
bool Engine::applicable(Instant now) {
  bool any = false;
  for (auto& group : groups_) {
    group->settle_more(now);
    const auto& waiting = committed_[group->id().value];
    any = any || (!waiting.empty() && group->may_apply(waiting.front()));
  }
  return any;
}

Status Engine::apply_all(Instant now) {
  for (auto& group : groups_) {
    group->settle_more(now);
    auto& waiting = committed_[group->id().value];
    const auto end = std::find_if_not(waiting.begin(), waiting.end(),
                                      [&](const LogEntry& entry) { return group->may_apply(entry); });
    std::vector<LogEntry> entries(std::move_iterator(waiting.begin()), std::move_iterator(end));
    waiting.erase(waiting.begin(), end);
    if (!entries.empty()) EC_TRY(apply(*group, entries, now));
  }
  return {};
}

Status Engine::apply(Group& group, const std::vector<LogEntry>& entries, Instant now) {
  Transaction transaction([this](std::string_view key) { return kv_.get(std::string(key)); },
                          [this](const std::string& from, const std::string& to, const KvVisitor& visit) {
                            return kv_.scan(from, to, SIZE_MAX, visit);
                          });
  transaction.keep_journal();
  StateDigest& digest = digests_[group.id()];
  const CatalogOptions catalog{founding_.count, options_.bug, options_.coordination_bug, &membership_->floors(),
                               founding_.witnesses};
  const bool keeps = keeps_records(group.id());
  std::vector<std::pair<const LogEntry*, std::optional<v1::Outcome>>> outcomes;
  AppliedChanges changes;
  bool members_changed = false;
  for (const LogEntry& entry : entries) {
    outcomes.emplace_back(&entry, std::nullopt);
    // Members are not in the digest: what a change makes of them depends on the lineage, which the global group knows.
    if (entry.type == EntryType::kConfChangeV2) {
      EC_TRY(group.change_members(entry));
      transaction.put(state_key(group.id(), configuration_record()), encode(group.configuration()));
      members_changed = true;
      (void)transaction.take_journal();
    }
    if (entry.type != EntryType::kNormal || entry.data.empty()) {  // a new leader's empty entry
      audit_.applied(group.id(), entry.index, digest.short_form(), now);
      continue;
    }
    auto command = group.take_parsed(entry);
    if (!command) return fail(Code::kCorrupt, "a committed entry does not parse");
    if (keeps) {
      if (std::exchange(errs_, false)) transaction.err_once();
      EC_ASSIGN(outcomes.back().second, apply_command(catalog, group.id(), *command, transaction, changes));
      digest.add(entry.index, transaction.take_journal());
      audit_.applied(group.id(), entry.index, digest.short_form(), now);
    }
    if (on_applied) on_applied(group.id(), entry.index, entry.term, entry.data);
  }
  WriteBatch batch = transaction.take_changes();
  if (keeps) batch.put(state_key(group.id(), kStateDigestRecord), digest.encode());
  batch.put(applied_key(group.id()), encode_position({entries.back().term, entries.back().index}));
  EC_TRY(kv_.write(batch));
  membership_->applied(changes);
  // Caches first, then the tail: a reader that finds the tail clear must find the new state everywhere.
  if (on_certificate_changed) {
    for (const auto& certificate : changes.certificates) on_certificate_changed(certificate);
  }
  for (const auto& change : changes.coordination.leases) coordination_leases_.changed(change, now);
  if (!changes.coordination.empty() && on_coordination) on_coordination(changes.coordination);
  for (auto& [entry, outcome] : outcomes) group.applied(entry->index, entry->term, std::move(outcome));
  if (members_changed || changes.membership) members_moved(group);
  compact(group);
  return {};
}

void Engine::compact(Group& group) {
  if (!keeps_records(group.id())) return;  // cut_witness_logs() does it
  const LogIndex first = log_.first_index(group.id());
  const LogIndex applied = group.applied_index();
  if (applied.value < first.value + options_.keep + options_.compact_after) return;
  // The state must be durable up to where the log begins, or a crash would leave a gap between them.
  if (const Status flushed = options_.bug == Bug::kStateBehindLog ? Status{} : kv_.flush(); !flushed) {
    fatal_ = flushed;
    return;
  }
  log_.compact(group.id(), LogIndex{applied.value - options_.keep});
}

Status Engine::install_snapshot(Group& group, const SnapshotMeta& meta, Instant now) {
  EC_PROBE("a snapshot is put in place");
  log_info("store: group " + std::to_string(group.id().value) + " takes over a snapshot at index " +
           std::to_string(meta.index.value));
  EC_TRY(snapshot_receiver_->mark(group.id(), {meta.term, meta.index}));
  log_.set_snapshot(group.id(), meta.index, meta.term);
  if (keeps_records(group.id()))
    log_.put_meta(copied_key(group.id()), StateCopy{snapshot_from_[group.id()], meta.index}.encode());
  if (options_.bug != Bug::kSnapshotNotSynced) EC_TRY(log_.sync());
  EC_TRY(snapshot_receiver_->swap_in(group.id()));
  if (group.id() == kGlobalGroup) EC_TRY(load_coordination_leases(now));
  EC_TRY(load_digest(group.id(), meta.index));
  EC_TRY(membership_->load(group.id()));
  if (on_records_replaced && options_.bug != Bug::kKeepCaches) on_records_replaced();
  std::erase_if(committed_[group.id().value], [&](const LogEntry& entry) { return entry.index <= meta.index; });
  EC_ASSIGN(auto configuration, load_configuration(group.id()));
  group.snapshot_installed(meta.index, std::move(configuration), now);
  members_moved(group);
  return {};
}

}  // namespace evercert::store
