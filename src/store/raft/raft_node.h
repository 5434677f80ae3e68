// SPDX-License-Identifier: Apache-2.0
// The consensus core of one group on one replica: TiKV's `raft` crate (Ongaro and Ousterhout, "In Search of an
// Understandable Consensus Algorithm", with pre-vote and quorum checks) behind a bridge. A pure state machine: ticks
// and messages go in, work comes out. Not thread-safe. Same inputs, same outputs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace evercert::store {

enum class EntryType : std::int32_t { kNormal = 0, kConfChange = 1, kConfChangeV2 = 2 };

struct LogEntry {
  LogIndex index;
  Term term;
  EntryType type = EntryType::kNormal;
  std::string data;
};

struct HardState {
  Term term;
  NodeId vote;  // 0: none in this term
  LogIndex commit;
  friend bool operator==(const HardState&, const HardState&) = default;
};

// eraftpb.MessageType
enum class MessageType : std::int32_t {
  kAppend = 3,
  kAppendResponse = 4,
  kRequestVote = 5,
  kRequestVoteResponse = 6,
  kSnapshot = 7,
  kHeartbeat = 8,
  kHeartbeatResponse = 9,
  kTransferLeader = 13,
  kTimeoutNow = 14,
  kReadIndex = 15,
  kReadIndexResponse = 16,
  kRequestPreVote = 17,
  kRequestPreVoteResponse = 18,
};

struct RaftMessage {
  NodeId from, to;
  MessageType type{};
  Term term;
  LogIndex index;
  LogIndex commit;  // what its sender says to be committed; 0 in messages that do not say
  bool reject = false;
  std::string bytes;  // eraftpb.Message
};

// Who votes and who only follows. While a change of voters is under way, those before it (`outgoing`) decide too.
struct Members {
  std::vector<NodeId> voters, outgoing, learners;
};

struct SnapshotMeta {
  LogIndex index;
  Term term;
  Members members;
};

struct InitialState {
  HardState hard_state;
  Members members;
};

// Of the members of a group. Changes of voters go through a joint configuration, which is left by a change of nothing.
struct MembersChange {
  std::vector<NodeId> learners, voters, removed;  // to be
  bool joint = false;
  std::string lineage;
};
// The data of an entry that is a change. kInvalid: it does not parse.
Result<MembersChange> read_change(std::string_view data);

// Where the core reads its log. Called from within the core's methods.
class RaftStorage {
 public:
  virtual ~RaftStorage() = default;
  virtual InitialState initial_state() const = 0;
  // [low, high), at least one entry, otherwise at most max_bytes.
  virtual Result<std::vector<LogEntry>> entries(LogIndex low, LogIndex high, std::uint64_t max_bytes) const = 0;
  virtual Result<Term> term(LogIndex index) const = 0;  // also of the entry just before the first
  virtual LogIndex first_index() const = 0;
  virtual LogIndex last_index() const = 0;
  // A follower that lacks everything from `low` is to be sent the state, though its log is here.
  virtual bool prefers_state(LogIndex low) const = 0;
  // The state is to be sent to `to`. kUnavailable: not now.
  virtual Result<SnapshotMeta> request_snapshot(NodeId to) = 0;
};

struct RaftOptions {
  NodeId self;
  std::uint64_t election_ticks = 10;
  std::uint64_t heartbeat_ticks = 1;
  LogIndex applied;
};

struct ReadState {
  LogIndex index;
  std::string context;
};

struct Ready {
  std::vector<RaftMessage> messages;            // to be sent at once
  std::vector<RaftMessage> persisted_messages;  // to be sent when entries and hard state are durable
  std::vector<LogEntry> entries;                // to be appended to the log
  std::optional<HardState> hard_state;
  std::optional<SnapshotMeta> snapshot;  // the log is to begin after it
  std::vector<LogEntry> committed;       // to be applied
  std::vector<ReadState> read_states;
};

struct LightReady {
  std::vector<RaftMessage> messages;
  std::vector<LogEntry> committed;
  std::optional<LogIndex> commit;
};

enum class RaftRole { kFollower = 0, kCandidate = 1, kLeader = 2, kPreCandidate = 3 };

struct RaftStatus {
  RaftRole role = RaftRole::kFollower;
  Term term;
  NodeId vote, leader;
  LogIndex commit, applied, last;
};

struct FollowerStatus {
  NodeId node;
  LogIndex matched;
  bool recent_active = false;
  bool remembers = true;  // see AckReport in peer.proto
};

class RaftNode {
 public:
  // `storage` outlives the node. kInvalid: impossible options.
  static Result<std::unique_ptr<RaftNode>> create(const RaftOptions& options, RaftStorage& storage);

  virtual ~RaftNode() = default;
  // To be called before each tick: the core would draw from a generator that no seed reaches.
  virtual void set_election_timeout(std::uint64_t ticks) = 0;
  virtual void tick() = 0;
  // kUnavailable: not the leader, leadership is being handed over, or too much is under way.
  virtual Status propose(std::string_view data) = 0;
  // As propose(). The lineage must be what apply_change() is given where the entry is applied. One change at a time:
  // the core makes an empty entry of what comes too early.
  virtual Status propose_change(const MembersChange& change) = 0;
  // A change that is committed (the data of its entry) takes effect in the core. What is impossible, or of another
  // lineage, changes nothing. The members from now on. kInvalid: it does not parse.
  virtual Result<Members> apply_change(std::string_view data, std::string_view lineage) = 0;
  // Reads, checks and takes a message whose transport says that it comes from `from`. What it was, without its bytes.
  // kInvalid: damaged, forged or impossible, or it asks for a vote and `may_vote` is false; dropped.
  virtual Result<RaftMessage> step(std::string_view message, NodeId from, bool may_vote) = 0;
  virtual bool has_ready() const = 0;
  virtual Ready ready() = 0;
  // After entries and hard state of the last ready() are durable.
  virtual LightReady advance_append() = 0;
  virtual void advance_applied(LogIndex index) = 0;
  // A leader tells its followers what is committed. Proposals do so by themselves; without either they learn it late.
  virtual void tell_commit() = 0;
  // From now on no message says that more than `index` is committed, whatever is. (Until the first call: all.)
  virtual void set_settled(LogIndex index) = 0;
  virtual Status campaign() = 0;
  virtual void transfer_leader(NodeId to) = 0;
  // The answer comes as a ReadState with this context, or never.
  virtual void read_index(std::string_view context) = 0;
  // The connection to it is broken. A leader finds out again what the node has; who followed it takes it for silent.
  virtual void report_unreachable(NodeId node) = 0;
  virtual void report_snapshot(NodeId node, bool ok) = 0;
  // It has started again, perhaps without its log. A leader counts on nothing any more that it acknowledged before,
  // and finds out what it has.
  virtual void report_new_life(NodeId node) = 0;
  // The core found its own state impossible and does nothing any more: the replica must stop.
  virtual bool broken() const = 0;
  virtual RaftStatus status() const = 0;
  virtual std::vector<FollowerStatus> followers() const = 0;  // of a leader; otherwise without meaning
};

}  // namespace evercert::store
