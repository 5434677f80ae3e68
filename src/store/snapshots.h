// SPDX-License-Identifier: Apache-2.0
// Moving a group's whole state to a replica whose log is too far behind. The sender reads a consistent view of its
// state and streams it in chunks, a window at a time, and repeats a window that is not acknowledged. The receiver
// collects them in order beside its own state and puts them in place only when all are there and the consensus core has
// accepted the snapshot. See docs/formats/snapshot.md.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "store/kv/kv.h"
#include "store/layout.h"
#include "store/planted.h"
#include "store/proto/peer.pb.h"
#include "store/raft/raft_node.h"

namespace evercert::store {

inline constexpr std::size_t kSnapshotChunkBytes = 256 * 1024;
// Chunks under way without an acknowledgement: few at first, one more with each that is acknowledged, so that a long
// way is filled (32 MiB of records in 150 ms, some 14 MiB as they travel, are 0.8 Gbit/s a group) and neither end is
// swamped.
inline constexpr std::size_t kSnapshotWindowFirst = 4, kSnapshotWindowMost = 128;

class SnapshotSender {
 public:
  // `first_id`: a random number, so that chunks of two lives of this node are never mixed.
  SnapshotSender(Kv& kv, Duration patience, std::uint64_t first_id, std::size_t chunk_bytes = kSnapshotChunkBytes)
      : kv_(kv), patience_(patience), last_id_(first_id), chunk_bytes_(chunk_bytes) {}

  // The core wants to send its state to `to`; `applied` is what the state holds now. kUnavailable while another
  // transfer of this group to it is under way. `members_only`: the receiver keeps no records, and gets none.
  Result<SnapshotMeta> prepare(GroupId group, NodeId to, Position applied, bool members_only = false);
  // The core's snapshot message for what was prepared: the transfer begins. Returns the first chunks.
  std::vector<v1::SnapshotChunk> begin(GroupId group, NodeId to, std::string raft_message, Instant now);
  struct Progress {
    std::vector<v1::SnapshotChunk> chunks;
    std::optional<bool> finished;  // for the core's report_snapshot
  };
  Progress acknowledged(NodeId from, const v1::SnapshotAck& ack, Instant now);
  // Of transfers of which nothing was acknowledged for a fifth of the patience: their first chunks, to be sent again.
  // The others follow when these are acknowledged.
  std::vector<std::pair<NodeId, v1::SnapshotChunk>> repeated(Instant now);
  // kCorrupt once the state could not be read: the node must stop, since no follower would ever be caught up by it.
  const Status& state_sound() const { return state_sound_; }
  // Transfers without an answer for too long, to be reported as failed.
  std::vector<std::pair<GroupId, NodeId>> expired(Instant now);

 private:
  struct Transfer {
    std::uint64_t id = 0;
    Position position;
    std::unique_ptr<KvSnapshot> view;
    std::string next_key, end;
    std::uint32_t next_sequence = 0;
    std::deque<v1::SnapshotChunk> window;  // made and not acknowledged
    std::size_t under_way = 0;             // so many of them, from the first, were sent
    std::size_t allowed = kSnapshotWindowFirst;
    bool read_all = false;
    bool started = false;
    std::string raft_message;
    Instant heard;  // the last acknowledgement that told something new
    Instant sent;   // the window, last
  };
  std::vector<v1::SnapshotChunk> fill_window(GroupId group, Transfer& transfer);
  v1::SnapshotChunk next_chunk(GroupId group, Transfer& transfer);

  Kv& kv_;
  Duration patience_;
  std::uint64_t last_id_;
  std::size_t chunk_bytes_;
  std::map<std::pair<GroupId, NodeId>, Transfer> transfers_;
  v1::KeyValues records_;  // of the chunk that is made; kept for its memory
  Status state_sound_;
};

class SnapshotReceiver {
 public:
  explicit SnapshotReceiver(Kv& kv, Bug bug = Bug::kNone) : kv_(kv), bug_(bug) {}

  struct Received {
    std::optional<v1::SnapshotAck> ack;
    std::string raft_message;  // not empty: everything is staged, hand this to the core
  };
  // After a message was handed over, further chunks of its group are dropped until core_has_decided(): what the core
  // accepts must be what is staged. `members_only`: no record is kept, whatever the sender thought.
  Result<Received> chunk(NodeId from, const v1::SnapshotChunk& chunk, bool members_only = false);
  // The core has seen every message that was handed over, and what it accepted is in place.
  void core_has_decided() { handed_over_.clear(); }

  // The core has accepted the snapshot: the staged state is made durable and marked, before the log forgets the old.
  Status mark(GroupId group, Position position);
  // Puts the staged state in the place of the group's. Call after the log's new beginning is durable.
  Status swap_in(GroupId group);
  // At a start: finishes a swap that a crash interrupted, or drops what was staged for nothing.
  // `log_snapshot`: where the log of the group begins.
  Status resume(GroupId group, LogIndex log_snapshot);

 private:
  struct Transfer {
    std::uint64_t id = 0;
    std::uint32_t next_sequence = 0;
    std::string last_key;  // they come in ascending order
    bool complete = false;
  };
  Status drop_staged(GroupId group);

  Kv& kv_;
  Bug bug_;
  std::map<std::pair<GroupId, NodeId>, Transfer> transfers_;
  std::set<GroupId> handed_over_;
  v1::KeyValues records_;
};

// Where the state says how far it has come; outside of every group's range.
std::string applied_key(GroupId group);
std::string encode_position(Position position);
Result<Position> decode_position(std::string_view text);
Result<Position> read_applied(Kv& kv, GroupId group);

}  // namespace evercert::store
