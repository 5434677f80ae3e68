// SPDX-License-Identifier: Apache-2.0
// One Raft group on one replica: the consensus core, its leases, the proposals that wait for an answer. The engine
// drives it; it touches no disk and no network itself.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/env.h"
#include "store/configuration.h"
#include "store/freshness.h"
#include "store/kv/kv.h"
#include "store/lag_meter.h"
#include "store/lease.h"
#include "store/log/log.h"
#include "store/proto/records.pb.h"
#include "store/raft/raft_node.h"

namespace evercert::store {

struct GroupOptions {
  GroupId id;
  NodeId self;
  std::uint64_t election_ticks = 30;
  std::uint64_t heartbeat_ticks = 3;
  LeaseTiming lease;
  Bug bug = Bug::kNone;
  RegionId home{0};          // where its leader is at home; 0: region 1 for the global group, else that of its number
  RegionSet witnesses = 0;   // regions that keep no records: nobody waits for them, and they lead only when they must
  bool stands_last = false;  // in elections, behind everybody else
  std::uint64_t whole_log_most = UINT64_MAX;  // see EngineOptions
};

class Group : private RaftStorage {
 public:
  using Answer = std::move_only_function<void(Result<v1::Outcome>)>;

  // `applied`: what the state already holds; `configuration`: its members by then. The log, board and random generator
  // outlive the group.
  static Result<std::unique_ptr<Group>> open(GroupOptions options, Configuration configuration, Log& log,
                                             TailIndex& tail, Random& random, LogIndex applied, Instant now);

  // --- time and messages
  void tick(Instant now);
  // What it was (without its bytes). kInvalid: forged, damaged, or a question for a vote while the gate is closed.
  Result<RaftMessage> step(NodeId from, std::string_view raft_message);
  // A follower says that it has everything up to `index` of `term` durable and promises `regions`.
  void acknowledged(NodeId from, Term term, LogIndex index, RegionSet regions);
  // It has said so in this term.
  void remembers(NodeId follower, Term term);
  bool remembers(NodeId follower) const { return remembering_.contains(follower); }
  void campaign_now();

  // --- proposals (leader only; kUnavailable otherwise)
  void propose(std::string command, WallTime wall, Answer answer);
  // Entries up to `index` were applied here; outcomes of own proposals among them.
  void applied(LogIndex index, Term term, std::optional<v1::Outcome> outcome);
  // Answers what may be answered now, and gives up what another leader's term has overtaken.
  void settle();

  // --- what is settled: durable as widely as an answer asks for (lease.h). Raft commits earlier, but nothing is
  // applied or told to be committed before, so that what anybody can read will be seen by whoever reads later.
  LogIndex settled() const { return settled_; }
  // A leader looks at its acknowledgements again. Only when everything in the log is durable.
  void settle_more(Instant now);
  // A committed entry may be applied: it is settled, or it changes nothing that is read from copies.
  bool may_apply(const LogEntry& entry) const;

  // --- members. A change takes effect when it is settled and applied, as any other entry.
  const Configuration& configuration() const { return configuration_; }
  // A change is in the log that has not taken effect, as far as reads and answers are concerned.
  bool changing() const { return !pending_changes_.empty(); }
  // The members that the changes in the log would make, one after the other.
  std::vector<Configuration> coming() const;
  // Grows whenever a change comes into the log or takes effect: between two equal readings nothing has changed.
  std::uint64_t changes_seen() const { return changes_seen_; }
  // Carries out the change of an entry that is to be applied now. kInvalid: it does not parse.
  Status change_members(const LogEntry& entry);
  // What the leader does next to come to these voters, if there is anything.
  void move_towards(const std::vector<NodeId>& wanted, bool gather, const std::vector<NodeId>& guests);
  // What other nodes say of the beginning is true, not what was assumed: the core starts over.
  Status use(Configuration configuration, Instant now);

  // --- the consensus core's work, in this order: ready, (durable), advanced, committed, applied
  bool has_ready() const { return raft_->has_ready(); }
  // A leader whose followers do not know yet what is committed tells them. True when there was something to tell.
  bool tell_commit();
  // The core has handed them out as committed. For the core they are applied then: it would not let a replica stand for
  // election that knows of a committed change which is not settled, and no other might be able to win.
  void committed(const std::vector<LogEntry>& entries);
  RaftNode& raft() { return *raft_; }
  // The core asserts that what is in its log can be read. kCorrupt, kIo...: why it could not be.
  const Status& log_sound() const { return log_sound_; }
  // New entries were handed to the log.
  void appended(const std::vector<LogEntry>& entries, Instant now);
  // They are durable: replication lag is measured here.
  void synced(WallTime wall, Instant now);
  // The command of an entry that is to be applied now; null when it does not parse. What appended() parsed is given
  // out.
  std::unique_ptr<v1::Command> take_parsed(const LogEntry& entry);
  void snapshot_installed(LogIndex index, Configuration configuration, Instant now);

  // --- leases
  PromiseBook& promises() { return promises_; }
  LeaseHolder& lease() { return lease_; }
  // Regions to be named in an acknowledgement. A witness reads nothing, so nobody waits for it.
  void set_witnesses(RegionSet witnesses) { options_.witnesses = witnesses; }
  RegionSet promised(Instant now) const { return promises_.promised(now) & ~options_.witnesses; }
  // Those that are heard and keep up, witnesses too.
  RegionSet heard(Instant now) const { return promises_.promised(now); }
  // The last acknowledgement sent to the present leader, to be repeated with fresh promises. Of index 0 when nothing
  // was: after a restart in a group that is idle there is nothing to acknowledge, and the leader is to hear all the
  // same that this replica remembers.
  struct Acknowledged {
    Term term;
    LogIndex index;
  };
  void sent_acknowledgement(Term term, LogIndex index);
  // It has started again, perhaps without its log: what it told of that holds no more.
  void peer_started(NodeId node);
  Acknowledged repeatable_acknowledgement() const;

  // --- recovery: a closed gate keeps this replica from voting, promising and claiming leases
  // Counts `term` as voted in (for nobody else) and writes that down: this replica may have voted and forgotten.
  Status adopt_term(Term term, Instant now);
  void close_gate(Position floor) {
    floor_ = floor;
    gate_open_ = false;
  }
  bool gate_open() const { return gate_open_; }
  // Opens the gate when the own log has reached the floor; true when it opened just now.
  bool try_open_gate(Instant now);

  // --- status
  GroupId id() const { return options_.id; }
  RaftStatus status() const { return raft_->status(); }
  bool leads() const { return role_ == RaftRole::kLeader; }
  NodeId leader() const { return leader_; }
  Position last_position() const;
  LogIndex log_begins() const { return log_.first_index(options_.id); }
  // From the proposal of an entry (by its proposer's wall clock) to its being durable here.
  LagMeter& lag() { return lag_; }
  const LagMeter& lag() const { return lag_; }
  LogIndex applied_index() const { return applied_; }
  // Set by the engine while a snapshot for a follower is being prepared.
  std::function<Result<SnapshotMeta>(NodeId to)> on_snapshot_wanted;
  std::function<void(GroupId)> on_leader_changed;

 private:
  struct Proposal {
    LogIndex index;
    Term term;
    bool majority = false;  // is enough for its answer, see answered_by_majority()
    std::optional<v1::Outcome> outcome;
    Answer answer;
  };
  struct Parsed {
    LogIndex index;
    Term term;
    std::unique_ptr<v1::Command> command;
  };

  Group(GroupOptions options, Configuration configuration, Log& log, TailIndex& tail, Random& random, LogIndex applied,
        Instant now);
  Status start_raft();
  void refresh_role();
  void settled_to(LogIndex index);
  void configuration_moved();
  void remember_change(const LogEntry& entry);
  void remember(const LogEntry& entry, std::unique_ptr<v1::Command> command);
  void conclude(Proposal proposal);
  std::uint64_t draw_election_ticks();
  bool witness() const { return (options_.witnesses & region_bit(region_of(options_.self))) != 0; }

  // RaftStorage
  InitialState initial_state() const override;
  Result<std::vector<LogEntry>> entries(LogIndex low, LogIndex high, std::uint64_t max_bytes) const override;
  Result<Term> term(LogIndex index) const override;
  LogIndex first_index() const override;
  LogIndex last_index() const override;
  bool prefers_state(LogIndex low) const override;
  Result<SnapshotMeta> request_snapshot(NodeId to) override;

  GroupOptions options_;
  Configuration configuration_;  // as the state has it
  Log& log_;
  TailIndex& tail_;
  Random& random_;
  std::unique_ptr<RaftNode> raft_;
  mutable Status log_sound_;  // the core reads through a const interface
  PromiseBook promises_;
  LeaseHolder lease_;
  AckBook acks_;
  LagMeter lag_;
  std::vector<std::int64_t> unsynced_stamps_;  // proposed_at_ms of entries handed to the log since the last sync
  std::deque<Proposal> proposals_;
  std::deque<Parsed> parsed_;  // of the newest entries that are not applied yet, in order
  LogIndex applied_;
  std::optional<Acknowledged> last_ack_;
  struct Change {
    LogIndex index;
    MembersChange what;
  };
  std::deque<Change> pending_changes_;  // those in the log that are not applied yet
  std::uint64_t changes_seen_ = 0;
  std::set<NodeId> remembering_;  // followers that said so in this leader's term

  LogIndex settled_;
  LogIndex told_commit_;  // by this leader to its followers
  RaftRole role_ = RaftRole::kFollower;
  Term role_term_;
  NodeId leader_, last_leader_;
  std::uint64_t election_ticks_ = 0;
  bool stood_in_vain_ = false;  // since a leader was known last
  Position floor_;
  bool gate_open_ = true;
};

}  // namespace evercert::store
