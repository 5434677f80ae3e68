// SPDX-License-Identifier: Apache-2.0
#include "store/snapshots.h"

#include <algorithm>
#include <charconv>

#include "base/probe.h"
#include "store/chunk_records.h"
#include "store/keys.h"

namespace evercert::store {
namespace {

// A first byte that no group id uses (groups are counted from 0, two bytes big-endian).
constexpr char kMeta = '\xff';

std::string run_of(GroupId group) { return "group-" + std::to_string(group.value); }
std::string marker_key(GroupId group) { return std::string(1, kMeta) + "installing/" + group_prefix(group); }

// The first key after all that begin with `prefix`.
std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

}  // namespace

std::string applied_key(GroupId group) { return std::string(1, kMeta) + "applied/" + group_prefix(group); }

std::string encode_position(Position position) {
  return std::to_string(position.term.value) + " " + std::to_string(position.index.value);
}

Result<Position> decode_position(std::string_view text) {
  Position position;
  const char* end = text.data() + text.size();
  const auto term = std::from_chars(text.data(), end, position.term.value);
  if (term.ec != std::errc{} || term.ptr == end || *term.ptr != ' ') return fail(Code::kCorrupt, "not a log position");
  const auto index = std::from_chars(term.ptr + 1, end, position.index.value);
  if (index.ec != std::errc{} || index.ptr != end) return fail(Code::kCorrupt, "not a log position");
  return position;
}

Result<Position> read_applied(Kv& kv, GroupId group) {
  EC_ASSIGN(const auto stored, kv.get(applied_key(group)));
  if (!stored) return Position{};
  return decode_position(*stored);
}

// ---------------------------------------------------------------------------------------------------------- sender

Result<SnapshotMeta> SnapshotSender::prepare(GroupId group, NodeId to, Position applied, bool members_only) {
  auto& transfer = transfers_[{group, to}];
  if (transfer.started) return fail(Code::kUnavailable, "a transfer is under way");
  transfer = {};
  transfer.id = ++last_id_;
  transfer.position = applied;
  transfer.view = kv_.snapshot();
  transfer.next_key = members_only ? state_key(group, configuration_record()) : group_prefix(group);
  transfer.end = members_only ? transfer.next_key + '\0' : after_prefix(group_prefix(group));
  SnapshotMeta meta;
  meta.index = applied.index;
  meta.term = applied.term;
  return meta;
}

std::vector<v1::SnapshotChunk> SnapshotSender::begin(GroupId group, NodeId to, std::string raft_message, Instant now) {
  const auto found = transfers_.find({group, to});
  if (found == transfers_.end() || found->second.started) return {};
  Transfer& transfer = found->second;
  transfer.started = true;
  transfer.raft_message = std::move(raft_message);
  transfer.heard = transfer.sent = now;
  return fill_window(group, transfer);
}

v1::SnapshotChunk SnapshotSender::next_chunk(GroupId group, Transfer& transfer) {
  v1::SnapshotChunk chunk;
  chunk.set_group(group.value);
  chunk.set_snapshot(transfer.id);
  chunk.set_index(transfer.position.index.value);
  chunk.set_term(transfer.position.term.value);
  chunk.set_sequence(transfer.next_sequence++);
  records_.Clear();
  std::size_t bytes = 0;
  bool more = false;
  const Status scanned =
      transfer.view->scan(transfer.next_key, transfer.end, SIZE_MAX, [&](std::string_view key, std::string_view value) {
        if (bytes >= chunk_bytes_) {
          transfer.next_key = std::string(key);
          more = true;
          return false;
        }
        auto* item = records_.add_items();
        item->set_key(key.data(), key.size());
        item->set_value(value.data(), value.size());
        bytes += key.size() + value.size();
        return true;
      });
  pack_records(records_, chunk);
  if (!scanned) {
    EC_PROBE("a snapshot's sender comes upon damage in its own state");
    state_sound_ = scanned;
    return chunk;
  }
  if (!more) {
    transfer.read_all = true;
    chunk.set_last(true);
    chunk.set_raft_message(transfer.raft_message);
  }
  return chunk;
}

std::vector<v1::SnapshotChunk> SnapshotSender::fill_window(GroupId group, Transfer& transfer) {
  std::vector<v1::SnapshotChunk> chunks;
  while (transfer.under_way < transfer.allowed) {
    if (transfer.under_way == transfer.window.size()) {
      if (transfer.read_all) break;
      v1::SnapshotChunk chunk = next_chunk(group, transfer);
      if (!state_sound_) break;  // or empty chunks would follow each other for ever
      transfer.window.push_back(std::move(chunk));
    }
    chunks.push_back(transfer.window[transfer.under_way++]);
  }
  return chunks;
}

SnapshotSender::Progress SnapshotSender::acknowledged(NodeId from, const v1::SnapshotAck& ack, Instant now) {
  Progress progress;
  const GroupId group{ack.group()};
  const auto found = transfers_.find({group, from});
  if (found == transfers_.end() || found->second.id != ack.snapshot() || !found->second.started) return progress;
  Transfer& transfer = found->second;
  if (!ack.ok()) {
    transfers_.erase(found);
    progress.finished = false;
    return progress;
  }
  while (!transfer.window.empty() && transfer.window.front().sequence() <= ack.sequence()) {
    transfer.window.pop_front();
    transfer.under_way -= std::min<std::size_t>(transfer.under_way, 1);
    transfer.allowed = std::min(transfer.allowed + 1, kSnapshotWindowMost);
    transfer.heard = transfer.sent = now;
  }
  if (transfer.read_all && transfer.window.empty()) {
    transfers_.erase(found);
    progress.finished = true;
    return progress;
  }
  progress.chunks = fill_window(group, transfer);
  return progress;
}

std::vector<std::pair<NodeId, v1::SnapshotChunk>> SnapshotSender::repeated(Instant now) {
  std::vector<std::pair<NodeId, v1::SnapshotChunk>> chunks;
  for (auto& [key, transfer] : transfers_) {
    if (!transfer.started || transfer.window.empty() || transfer.sent + patience_ / 5 > now) continue;
    EC_PROBE("a snapshot's chunks are sent again");
    transfer.sent = now;
    transfer.under_way = 0;
    transfer.allowed = kSnapshotWindowFirst;
    for (auto& chunk : fill_window(key.first, transfer)) chunks.emplace_back(key.second, std::move(chunk));
  }
  return chunks;
}

std::vector<std::pair<GroupId, NodeId>> SnapshotSender::expired(Instant now) {
  std::vector<std::pair<GroupId, NodeId>> gone;
  for (auto it = transfers_.begin(); it != transfers_.end();) {
    if (it->second.started && it->second.heard + patience_ < now) {
      gone.push_back(it->first);
      it = transfers_.erase(it);
    } else {
      ++it;
    }
  }
  return gone;
}

// -------------------------------------------------------------------------------------------------------- receiver

Status SnapshotReceiver::drop_staged(GroupId group) {
  // The mark first: it stands for a whole run.
  WriteBatch batch;
  batch.remove(marker_key(group));
  EC_TRY(kv_.write(batch));
  return kv_.drop_staged(run_of(group));
}

Result<SnapshotReceiver::Received> SnapshotReceiver::chunk(NodeId from, const v1::SnapshotChunk& chunk,
                                                           bool members_only) {
  const GroupId group{chunk.group()};
  Received received;
  if (handed_over_.contains(group)) {
    EC_PROBE("a snapshot's chunk comes while another waits for the core");
    return received;
  }
  v1::SnapshotAck ack;
  ack.set_group(chunk.group());
  ack.set_snapshot(chunk.snapshot());
  ack.set_sequence(chunk.sequence());
  Transfer& transfer = transfers_[{group, from}];
  if (chunk.sequence() == 0 && chunk.snapshot() != transfer.id) {
    EC_TRY(drop_staged(group));
    // What another sender had staged is gone.
    std::erase_if(transfers_,
                  [&](const auto& entry) { return entry.first.first == group && entry.first.second != from; });
    transfer = {chunk.snapshot(), 0, {}, false};
  }
  const bool known = transfer.id == chunk.snapshot();
  if (known && chunk.sequence() < transfer.next_sequence) {  // heard already; the acknowledgement may be lost
    ack.set_sequence(transfer.next_sequence - 1);
    ack.set_ok(true);
    received.ack = std::move(ack);
    return received;
  }
  if (known && chunk.sequence() > transfer.next_sequence && bug_ != Bug::kSnapshotGap) {
    EC_PROBE("a snapshot's chunk does not follow the last");
    return received;  // what lies between is sent again
  }
  const std::string prefix = group_prefix(group);
  bool sound = known && !transfer.complete && unpack_records(chunk, records_);
  WriteBatch batch;
  for (int i = 0; sound && i < records_.items_size(); ++i) {
    v1::KeyValue& item = *records_.mutable_items(i);
    sound = item.key().starts_with(prefix) && item.key() > transfer.last_key;
    transfer.last_key = item.key();
    if (!members_only || item.key() == state_key(group, configuration_record()))
      batch.put(std::move(*item.mutable_key()), std::move(*item.mutable_value()));
  }
  if (!sound) {
    EC_PROBE("a snapshot's chunk is refused");
    transfers_.erase({group, from});
    ack.set_ok(false);
    received.ack = std::move(ack);
    return received;
  }
  EC_TRY(kv_.stage(run_of(group), batch));
  transfer.next_sequence = chunk.sequence() + 1;
  ack.set_ok(true);
  received.ack = std::move(ack);
  if (chunk.last()) {
    received.raft_message = chunk.raft_message();
    handed_over_.insert(group);
    transfer.complete = true;
  }
  return received;
}

Status SnapshotReceiver::mark(GroupId group, Position position) {
  EC_TRY(kv_.seal(run_of(group)));
  WriteBatch batch;
  batch.put(marker_key(group), encode_position(position));
  EC_TRY(kv_.write(batch));
  return kv_.flush();
}

Status SnapshotReceiver::swap_in(GroupId group) {
  EC_ASSIGN(const auto marker, kv_.get(marker_key(group)));
  if (!marker) return fail(Code::kCorrupt, "a snapshot is to be put in place, but none was marked");
  EC_ASSIGN(const auto position, decode_position(*marker));
  // The mark goes in the same batch as the new applied index: until then a restart begins the swap again.
  WriteBatch finally;
  finally.put(applied_key(group), encode_position(position));
  finally.remove(marker_key(group));
  return kv_.take_over(run_of(group), group_prefix(group), after_prefix(group_prefix(group)), std::move(finally));
}

Status SnapshotReceiver::resume(GroupId group, LogIndex log_snapshot) {
  EC_ASSIGN(const auto marker, kv_.get(marker_key(group)));
  if (!marker) return drop_staged(group);
  EC_ASSIGN(const auto position, decode_position(*marker));
  if (position.index <= log_snapshot) {
    EC_PROBE("a restart finishes putting a snapshot in place");
    return swap_in(group);
  }
  EC_PROBE("a restart drops a snapshot that the log does not know");
  return drop_staged(group);
}

}  // namespace evercert::store
