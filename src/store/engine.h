// SPDX-License-Identifier: Apache-2.0
// The whole store of one node in one object without threads: all its Raft groups, their leases, the state machine,
// what clients wait for. Single-threaded and deterministic: given the same calls, clock readings, random numbers and
// disk, it does the same. A thread drives it in production (runtime.h), the event queue in the simulator.
//
// Durable at each step of flush(): messages that promise nothing leave first; then entries, terms and votes of all
// groups are written and synced together; only then do acknowledgements and votes leave, and committed entries are
// applied to the state (which is not synced: it is replayed from the log).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/env.h"
#include "coordination/auto_compaction.h"
#include "coordination/lease_clock.h"
#include "store/attestation.h"
#include "store/catalog.h"
#include "store/clock_watch.h"
#include "store/freshness.h"
#include "store/group.h"
#include "store/kv/recent_kv.h"
#include "store/proto/peer.pb.h"
#include "store/quorum_watch.h"
#include "store/recovery.h"
#include "store/state_digest.h"
#include "store/store.h"
#include "store/submissions.h"
#include "store/witness.h"

namespace evercert::store {

class MembershipBoard;
class MembershipKeeper;
class SnapshotSender;
class SnapshotReceiver;

// Where batches for other nodes go. Best effort: what is lost is sent again by the protocols.
class PeerSink {
 public:
  virtual ~PeerSink() = default;
  virtual void send(NodeId to, const v1::Batch& batch) = 0;
};

struct EngineOptions {
  // Of the cluster file, which may name regions that are none of the cluster's yet. From then on: the voters of the
  // global group, and the regions of the membership record. Groups are those of the record, whatever the file says.
  Layout layout;
  NodeId self;
  std::string cluster_id;  // batches of other clusters are dropped
  // A person holds this node's state for wrong: it votes and stores, leads only while it must, and gives its state to
  // nobody and no fresh answer from it. See docs/cycles/membership.md, "When nobody can tell".
  bool doubted = false;
  bool may_found = true;  // made for a new cluster, part of none yet: see recovery.h
  Duration tick = 50ms;
  std::uint64_t election_ticks = 30;
  std::uint64_t heartbeat_ticks = 3;
  LeaseTiming lease;
  FenceTiming fence;
  Duration submit_silence = 1200ms;        // a forwarded command without an answer is sent again
  Duration submit_pause = 25ms;            // after "not the leader"
  Duration read_retry = 350ms;             // a read index without an answer is asked again
  Duration quorum_lost_after = 5s;         // without a leader for so long a group is taken to have no majority
  std::uint64_t compact_after = 40'000;    // entries in a group's log beyond `keep` before it is cut
  std::uint64_t keep = 20'000;             // entries kept for followers that lag
  std::uint64_t whole_log_most = 5'000;    // applied entries; of more, a replica that has nothing is sent the state
  std::uint64_t witness_cut = 2'000;       // a witness cuts its log by so many entries, or after a while
  std::uint64_t witness_most = 1'000'000;  // and keeps at most so many for a region that is gone
  std::size_t snapshot_chunk_bytes = 256 * 1024;
  coordination::CompactionPolicy compaction;  // of the key space
  Bug bug = Bug::kNone;
  coordination::Bug coordination_bug = coordination::Bug::kNone;
};

class Engine {
 public:
  using SubmitDone = Submissions::Done;
  using ReadDone = std::move_only_function<void(Freshness)>;

  // Everything given outlives the engine. `start_id` grows with every start of this node (wall time will do).
  static Result<std::unique_ptr<Engine>> open(EngineOptions options, Log& log, Kv& kv, PeerSink& peers, Random& random,
                                              WallClock& wall, FreshnessBoard& board, std::uint64_t start_id,
                                              Instant now);
  ~Engine();

  // Call every options.tick.
  void tick(Instant now);
  // A batch from `from`, whose identity the transport has proved.
  void receive(NodeId from, const v1::Batch& batch, Instant now);
  void unreachable(NodeId node);
  // `command` is an encoded v1::Command. `done` is called once, from a later flush() or tick().
  void submit(GroupId group, std::string command, Instant deadline, SubmitDone done);
  void freshen(GroupId group, std::string record, Instant deadline, ReadDone done, Instant now);
  // Does all work that is due. An error is fatal: the disk failed or the state is damaged, and the node must stop.
  Status flush(Instant now);

  std::function<void(const v1::Certificate&)> on_certificate_changed;
  std::function<void(const coordination::Effects&)> on_coordination;
  // True when the next flush is near, so that news which can travel with it may wait. Not set: never.
  std::function<bool()> more_coming;
  std::function<void()> on_records_replaced;  // by a snapshot
  // One call for every applied entry: (group, index, term, data). The simulator's checkers listen here.
  std::function<void(GroupId, LogIndex, Term, const std::string&)> on_applied;

  std::vector<GroupStatus> status(Instant now) const;
  bool clock_trusted(Instant now) const { return clocks_.trusted(now); }
  std::int64_t clock_offset_ms(Instant now) const { return clocks_.offset_ms(now); }
  bool recovering() const;
  bool asking() const { return recovery_.asking(); }  // others, for what it may have forgotten
  // The group has begun here: it is of the beginning, or the entry that founds its region has been applied.
  bool has(GroupId id) const { return id.value < groups_.size(); }
  Group& group(GroupId id) { return *groups_[id.value]; }
  const EngineOptions& options() const { return options_; }
  const coordination::LeaseClock& coordination_leases() const { return coordination_leases_; }
  // Of a home group a witness keeps nothing but who its members are.
  bool witness() const { return options_.layout.is_witness(region_of(options_.self)); }
  bool keeps_records(GroupId id) const { return id == kGlobalGroup || !witness(); }
  const MembershipBoard& membership() const;  // may be read from any thread
  RegionSet attested_silent() const;          // by this node, in its last round
  // A fault of the machine's memory, for the simulator: what is stored next is another than it should be.
  void err_once() { errs_ = true; }
  bool has_erred() const { return !errs_; }

 private:
  struct Read {
    std::uint64_t id;
    GroupId group;
    std::string record;
    Instant deadline;
    ReadDone done;
    enum class Stage { kBegin, kNeighbours, kReadIndex, kOwnLog, kApply } stage = Stage::kBegin;
    Instant retry;
    Position need_log;      // kOwnLog: until the own log reaches this, in Raft's vote order
    LogIndex need_applied;  // kApply: until this is applied
    std::map<NodeId, Position> told;
    std::uint64_t changes_seen = 0;  // of the group's members, when the lease was seen
  };

  Engine(EngineOptions options, Log& log, Kv& kv, PeerSink& peers, Random& random, WallClock& wall,
         FreshnessBoard& board, std::uint64_t start_id, Instant now);
  Status open_groups(Instant now);
  Status open_group(GroupId id, Instant now);
  Status begin_groups(Instant now);
  // kInvalid: the cluster file and the record differ about this node's own region.
  Status learn_witnesses();
  Status adopt(GroupId id, const Recovery::GroupFacts& facts, Instant now);
  std::map<GroupId, std::vector<Configuration>> foundings_under_way() const;
  Result<Configuration> load_configuration(GroupId group) const;

  // engine_messages.cc
  void handle(NodeId from, const v1::Message& message, Instant now);
  void on_raft(NodeId from, const v1::GroupRaft& message, Instant now);
  void on_lease_request(NodeId from, const v1::LeaseRequest& request, Instant now);
  void on_lease_grant(NodeId from, const v1::LeaseGrant& grant, Instant now);
  void on_forward(NodeId from, const v1::Forward& forward, Instant now);
  void on_forward_reply(NodeId from, const v1::ForwardReply& reply, Instant now);
  void on_recovery_ask(NodeId from, const v1::RecoveryAsk& ask);
  void on_recovery_told(NodeId from, const v1::RecoveryTold& told, Instant now);
  void on_snapshot_chunk(NodeId from, const v1::SnapshotChunk& chunk, Instant now);
  void on_snapshot_ack(NodeId from, const v1::SnapshotAck& ack, Instant now);
  void on_state_claims(NodeId from, const v1::StateClaims& claims, Instant now);
  void on_clock(NodeId from, const v1::ClockReport& report, Instant now);
  void on_removal_notice(const v1::RemovalNotice& notice);
  Group* known_group(std::uint32_t id);
  v1::Message* to(NodeId node);
  void deliver();

  // engine_flush.cc
  void take_ready(Group& group, Instant now);
  void after_sync(Group& group, Instant now);
  void route(Group& group, std::vector<RaftMessage> messages, Instant now);
  Status apply(Group& group, const std::vector<LogEntry>& entries, Instant now);
  bool applicable(Instant now);
  Status apply_all(Instant now);
  void compact(Group& group);
  void members_moved(const Group& group);
  Status install_snapshot(Group& group, const SnapshotMeta& meta, Instant now);

  // engine_reads.cc
  void advance_reads(Instant now);
  bool advance(Read& read, Instant now);
  void on_read_index(GroupId group, std::uint64_t id, LogIndex index);
  void on_read_told(NodeId from, const v1::ReadTold& told);

  // engine_membership.cc
  void membership_round(Instant now);
  void on_attestation(NodeId from, const v1::Attestation& attestation, Instant now);
  bool send_leader_away(Group& group, Instant now);
  void move_members();
  void tell_members();
  void on_members(const v1::MembersReport& report);
  // As this node's state has them, or, of a group that it is no member of any more, as its leader said.
  const Configuration& newest_members(const Group& group) const;
  bool may_lead(const Group& group, NodeId node) const;

  // Leads only when nobody else has the newest entry.
  bool leads_unwillingly() const { return witness() || options_.doubted; }

  // engine_witness.cc
  Result<SnapshotMeta> snapshot_for(GroupId group, NodeId node);
  bool takes_snapshot(NodeId from, GroupId group) const;
  void lead_no_longer(Group& group);
  void cut_witness_logs(Instant now);

  // engine_audit.cc
  Status load_digest(GroupId group, LogIndex applied);
  void audit_round();
  RegionSet unshown(Instant now) const;

  // engine_timers.cc
  void watch_quorums(Instant now);
  void lease_round(Instant now);
  void repeat_acknowledgements(Instant now);
  void send_leaders_home(Instant now);
  void publish_lease(Group& group);
  void publish_leases();
  Status load_coordination_leases(Instant now);
  void end_coordination_leases(Instant now);
  void compact_key_space(Instant now);
  void propose(const coordination::v1::Command& command);
  void tell_positions();

  EngineOptions options_;
  Log& log_;
  RecentKv kv_;
  PeerSink& peers_;
  Random& random_;
  WallClock& wall_;
  FreshnessBoard& board_;
  std::uint64_t start_id_;

  std::vector<std::unique_ptr<Group>> groups_;
  Submissions submissions_;
  coordination::LeaseClock coordination_leases_;
  coordination::AutoCompaction coordination_compaction_;
  NodeId coordination_leader_;  // when the leases' time was begun last
  Recovery recovery_;
  QuorumWatch quorum_;
  ClockWatch clocks_;
  StateAudit audit_;
  std::map<GroupId, std::pair<LogIndex, Configuration>> told_members_;  // by which entry of the group
  std::map<GroupId, StateDigest> digests_;
  std::set<std::pair<GroupId, NodeId>> told_to_differ_;  // in the log
  std::map<GroupId, NodeId> snapshot_from_;              // whose is being put in place
  std::set<GroupId> copies_;                             // groups of which the log says whose copy their state is
  bool errs_ = false;
  std::unique_ptr<MembershipKeeper> membership_;
  std::unique_ptr<SnapshotSender> snapshot_sender_;
  std::unique_ptr<SnapshotReceiver> snapshot_receiver_;

  std::vector<NodeId> founders_;  // the voters of groups whose state has no record of its members
  RegionRoll founding_;           // the regions of the beginning: their groups need no entry to begin
  RegionRoll named_;              // those of the cluster file
  std::set<NodeId> others_;       // everybody else who is a member of some group, is to be one, or founded the cluster
  std::map<NodeId, v1::Batch> outbox_;
  std::map<NodeId, std::uint64_t> peer_start_ids_;
  std::vector<std::vector<LogEntry>> just_committed_;  // by group, what the core hands out in this turn
  std::vector<std::vector<LogEntry>> committed_;       // by group, to be applied when they are settled
  std::vector<std::vector<RaftMessage>> after_sync_;
  std::set<std::uint32_t> in_ready_;  // groups whose ready is being written
  std::map<std::uint64_t, Read> reads_;
  std::uint64_t last_read_;               // begins anywhere: answers to an earlier life fit none of this one
  std::vector<WitnessLog> witness_logs_;  // by group
  Instant next_witness_cut_;
  bool told_of_loss_ = false, told_of_witnesses_ = false;
  Instant next_lease_round_, next_ack_round_, next_home_round_, next_recovery_ask_, next_clock_round_,
      next_audit_round_;
  std::map<GroupId, Instant> home_ready_since_;
  struct PeerEcho {
    std::int64_t echo_us = 0;
    Instant received;
  };
  std::map<NodeId, PeerEcho> clock_echoes_;
  bool must_sync_ = false;
  Status fatal_;
};

}  // namespace evercert::store
