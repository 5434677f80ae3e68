// SPDX-License-Identifier: Apache-2.0
#include "store/raft/raft_node.h"

#include "evercert-raft-bridge/src/lib.rs.h"
#include "store/raft/bridge_storage.h"

namespace evercert::store {
namespace bridge {

// ------------------------------------------------------------------------------------------ storage for the core

namespace {
rust::Vec<std::uint64_t> ids(const std::vector<NodeId>& nodes) {
  rust::Vec<std::uint64_t> out;
  for (const NodeId node : nodes) out.push_back(node.value);
  return out;
}
bridge::Members to_bridge(const store::Members& members) {
  return {ids(members.voters), ids(members.outgoing), ids(members.learners)};
}
rust::Slice<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
}  // namespace

Initial BridgeStorage::initial() const {
  const InitialState state = storage_->initial_state();
  Initial out;
  out.term = state.hard_state.term.value;
  out.vote = state.hard_state.vote.value;
  out.commit = state.hard_state.commit.value;
  out.members = to_bridge(state.members);
  return out;
}

bool BridgeStorage::entries(std::uint64_t low, std::uint64_t high, std::uint64_t max_bytes,
                            rust::Vec<BridgeEntry>& out) const {
  auto found = storage_->entries(LogIndex{low}, LogIndex{high}, max_bytes);
  if (!found) return false;
  for (const LogEntry& entry : *found) {
    BridgeEntry copy;
    copy.index = entry.index.value;
    copy.term = entry.term.value;
    copy.kind = static_cast<std::int32_t>(entry.type);
    copy.data = copied(bytes_of(entry.data));
    out.push_back(std::move(copy));
  }
  return true;
}

std::int64_t BridgeStorage::term(std::uint64_t index) const {
  const auto found = storage_->term(LogIndex{index});
  return found ? static_cast<std::int64_t>(found->value) : -1;
}

std::uint64_t BridgeStorage::first_index() const { return storage_->first_index().value; }
bool BridgeStorage::prefers_state(std::uint64_t low) const { return storage_->prefers_state(LogIndex{low}); }
std::uint64_t BridgeStorage::last_index() const { return storage_->last_index().value; }

BridgeSnapshot BridgeStorage::snapshot(std::uint64_t to) const {
  const auto meta = storage_->request_snapshot(NodeId{to});
  if (!meta) return {false, 0, 0, {}};
  return {true, meta->index.value, meta->term.value, to_bridge(meta->members)};
}

}  // namespace bridge

namespace {

using bridge::bytes_of;
using bridge::ids;

std::string text(const rust::Vec<std::uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

RaftMessage from_bridge(const bridge::Msg& message) {
  return {NodeId{message.from}, NodeId{message.to},      static_cast<MessageType>(message.kind),
          Term{message.term},   LogIndex{message.index}, LogIndex{message.commit},
          message.reject,       text(message.bytes)};
}

std::vector<RaftMessage> from_bridge(const rust::Vec<bridge::Msg>& messages) {
  std::vector<RaftMessage> out;
  out.reserve(messages.size());
  for (const auto& message : messages) out.push_back(from_bridge(message));
  return out;
}

std::vector<LogEntry> from_bridge(const rust::Vec<bridge::BridgeEntry>& entries) {
  std::vector<LogEntry> out;
  out.reserve(entries.size());
  for (const auto& entry : entries) {
    out.push_back({LogIndex{entry.index}, Term{entry.term}, static_cast<EntryType>(entry.kind), text(entry.data)});
  }
  return out;
}

std::vector<NodeId> nodes_of(const rust::Vec<std::uint64_t>& ids) {
  std::vector<NodeId> out;
  for (const std::uint64_t id : ids) out.push_back(NodeId{id});
  return out;
}

Members from_bridge(const bridge::Members& members) {
  return {nodes_of(members.voters), nodes_of(members.outgoing), nodes_of(members.learners)};
}

rust::Slice<const std::uint64_t> slice(const rust::Vec<std::uint64_t>& ids) { return {ids.data(), ids.size()}; }

class RaftNodeImpl : public RaftNode {
 public:
  explicit RaftNodeImpl(rust::Box<bridge::Core> core) : core_(std::move(core)) {}

  void set_election_timeout(std::uint64_t ticks) override { core_->set_election_timeout(ticks); }
  void tick() override { core_->tick(); }
  Status propose(std::string_view data) override {
    if (core_->propose(bytes_of(data))) return {};
    return fail(Code::kUnavailable, "the proposal was not taken");
  }
  Status propose_change(const MembersChange& change) override {
    const auto learners = ids(change.learners), voters = ids(change.voters), removed = ids(change.removed);
    if (core_->propose_change(slice(learners), slice(voters), slice(removed), change.joint, bytes_of(change.lineage)))
      return {};
    return fail(Code::kUnavailable, "the change of members was not taken");
  }
  Result<Members> apply_change(std::string_view data, std::string_view lineage) override {
    try {
      return from_bridge(core_->apply_change(bytes_of(data), bytes_of(lineage)));
    } catch (const rust::Error& error) {
      return fail(Code::kInvalid, error.what());
    }
  }
  Result<RaftMessage> step(std::string_view message, NodeId from, bool may_vote) override {
    try {
      return from_bridge(core_->step(bytes_of(message), from.value, may_vote));
    } catch (const rust::Error& error) {
      return fail(Code::kInvalid, error.what());
    }
  }
  bool has_ready() const override { return core_->has_ready(); }
  Ready ready() override {
    const bridge::Work work = core_->ready();
    Ready out;
    out.messages = from_bridge(work.messages);
    out.persisted_messages = from_bridge(work.persisted_messages);
    out.entries = from_bridge(work.entries);
    out.committed = from_bridge(work.committed);
    if (work.has_hard_state) out.hard_state = HardState{Term{work.term}, NodeId{work.vote}, LogIndex{work.commit}};
    if (work.snapshot.present)
      out.snapshot =
          SnapshotMeta{LogIndex{work.snapshot.index}, Term{work.snapshot.term}, from_bridge(work.snapshot.members)};
    for (const auto& read : work.reads) out.read_states.push_back({LogIndex{read.index}, text(read.context)});
    return out;
  }
  LightReady advance_append() override {
    const bridge::Work work = core_->advance_append();
    LightReady out;
    out.messages = from_bridge(work.messages);
    out.committed = from_bridge(work.committed);
    if (work.has_hard_state) out.commit = LogIndex{work.commit};
    return out;
  }
  void advance_applied(LogIndex index) override { core_->advance_applied(index.value); }
  void tell_commit() override { core_->tell_commit(); }
  void set_settled(LogIndex index) override { core_->set_settled(index.value); }
  Status campaign() override {
    if (core_->campaign()) return {};
    return fail(Code::kUnavailable, "the campaign was not begun");
  }
  void transfer_leader(NodeId to) override { core_->transfer_leader(to.value); }
  void read_index(std::string_view context) override { core_->read_index(bytes_of(context)); }
  void report_unreachable(NodeId node) override { core_->report_unreachable(node.value); }
  void report_snapshot(NodeId node, bool ok) override { core_->report_snapshot(node.value, ok); }
  void report_new_life(NodeId node) override { core_->report_new_life(node.value); }
  bool broken() const override { return core_->broken(); }
  RaftStatus status() const override {
    const bridge::Facts facts = core_->facts();
    RaftStatus out;
    out.role = static_cast<RaftRole>(facts.role);
    out.term = Term{facts.term};
    out.vote = NodeId{facts.vote};
    out.leader = NodeId{facts.leader};
    out.commit = LogIndex{facts.commit};
    out.applied = LogIndex{facts.applied};
    out.last = LogIndex{facts.last};
    return out;
  }
  std::vector<FollowerStatus> followers() const override {
    std::vector<FollowerStatus> out;
    for (const auto& f : core_->followers()) out.push_back({NodeId{f.id}, LogIndex{f.matched}, f.recent_active});
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
    return out;
  }

 private:
  rust::Box<bridge::Core> core_;
};

}  // namespace

Result<MembersChange> read_change(std::string_view data) {
  try {
    const bridge::MembersChange read = bridge::read_change(bytes_of(data));
    return MembersChange{nodes_of(read.learners), nodes_of(read.voters), nodes_of(read.removed), read.joint,
                         text(read.lineage)};
  } catch (const rust::Error& error) {
    return fail(Code::kInvalid, error.what());
  }
}

Result<std::unique_ptr<RaftNode>> RaftNode::create(const RaftOptions& options, RaftStorage& storage) {
  bridge::Options raw;
  raw.id = options.self.value;
  raw.election_tick = options.election_ticks;
  raw.heartbeat_tick = options.heartbeat_ticks;
  raw.applied = options.applied.value;
  try {
    auto core = bridge::make_core(raw, std::make_unique<bridge::BridgeStorage>(storage));
    return std::make_unique<RaftNodeImpl>(std::move(core));
  } catch (const rust::Error& error) {
    return fail(Code::kInvalid, std::string("the consensus core refuses its options: ") + error.what());
  }
}

}  // namespace evercert::store
