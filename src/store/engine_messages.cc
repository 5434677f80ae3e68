// SPDX-License-Identifier: Apache-2.0
// What other nodes say, and the outbox for what is said to them.
#include "base/check.h"
#include "base/probe.h"
#include "store/engine.h"
#include "store/membership_keeper.h"
#include "store/snapshots.h"

namespace evercert::store {
namespace {

Position position_of(const v1::Position& p) { return {Term{p.term()}, LogIndex{p.index()}}; }

}  // namespace

v1::Message* Engine::to(NodeId node) { return outbox_[node].add_messages(); }

void Engine::deliver() {
  // A follower that comes back is sent hundreds of entries at once; a transport takes so much in one piece.
  constexpr std::size_t kBatchBytes = 4 << 20;
  constexpr int kAlwaysFit = 4;
  for (auto& [node, batch] : outbox_) {
    if (batch.messages_size() == 0) continue;
    batch.set_cluster_id(options_.cluster_id);
    batch.set_start_id(start_id_);
    if (batch.messages_size() <= kAlwaysFit || batch.ByteSizeLong() <= kBatchBytes) {
      peers_.send(node, batch);
    } else {
      v1::Batch part;
      part.set_cluster_id(options_.cluster_id);
      part.set_start_id(start_id_);
      std::size_t bytes = 0;
      for (auto& message : *batch.mutable_messages()) {
        const std::size_t more = message.ByteSizeLong();
        if (bytes > 0 && bytes + more > kBatchBytes) {
          peers_.send(node, part);
          part.clear_messages();
          bytes = 0;
        }
        part.add_messages()->Swap(&message);
        bytes += more;
      }
      peers_.send(node, part);
    }
    batch.Clear();
  }
}

Group* Engine::known_group(std::uint32_t id) { return id < groups_.size() ? groups_[id].get() : nullptr; }

void Engine::receive(NodeId from, const v1::Batch& batch, Instant now) {
  const RegionId region = region_of(from);
  if (batch.cluster_id() != options_.cluster_id || from == options_.self) return;
  if (region.value == 0 || region.value > kMostRegions) return;
  std::uint64_t& known_start = peer_start_ids_[from];
  if (batch.start_id() < known_start) {  // said in an earlier life
    EC_PROBE("a batch of a peer's earlier life is dropped");
    return;
  }
  if (batch.start_id() > known_start) {
    known_start = batch.start_id();
    membership_->peer_started(from);
    audit_.forget(from);
    for (auto& group : groups_) group->peer_started(from);
    for (WitnessLog& log : witness_logs_) log.forget(region);
  }
  // Who speaks to a node that remembers nothing may know what its file does not say.
  if (recovery_.asking()) others_.insert(from);
  for (const auto& message : batch.messages()) handle(from, message, now);
}

void Engine::handle(NodeId from, const v1::Message& message, Instant now) {
  switch (message.kind_case()) {
    case v1::Message::kRaft: return on_raft(from, message.raft(), now);
    case v1::Message::kAck: {
      const auto& ack = message.ack();
      if (Group* group = known_group(ack.group())) {
        group->acknowledged(from, Term{ack.term()}, LogIndex{ack.index()}, ack.promised_regions());
        if (ack.remembers()) group->remembers(from, Term{ack.term()});
      }
      return;
    }
    case v1::Message::kMembers: return on_members(message.members());
    case v1::Message::kLeaseRequest: return on_lease_request(from, message.lease_request(), now);
    case v1::Message::kLeaseGrant: return on_lease_grant(from, message.lease_grant(), now);
    case v1::Message::kRegionPositions:
      if (region_of(from) != region_of(options_.self)) return;
      for (const auto& entry : message.region_positions().positions()) {
        if (Group* group = known_group(entry.group())) group->lease().neighbour_at(from, position_of(entry.position()));
      }
      return;
    case v1::Message::kReadAsk:
      // Behind a closed gate the end of the log says nothing: the region's quorum may count on entries that are gone.
      if (Group* group = known_group(message.read_ask().group());
          group != nullptr && (group->gate_open() || options_.bug == Bug::kReadToldBehindGate)) {
        v1::ReadTold* told = to(from)->mutable_read_told();
        told->set_read(message.read_ask().read());
        told->set_group(message.read_ask().group());
        told->mutable_last()->set_term(group->last_position().term.value);
        told->mutable_last()->set_index(group->last_position().index.value);
      }
      return;
    case v1::Message::kReadTold: return on_read_told(from, message.read_told());
    case v1::Message::kForward: return on_forward(from, message.forward(), now);
    case v1::Message::kForwardReply: return on_forward_reply(from, message.forward_reply(), now);
    case v1::Message::kRecoveryAsk: return on_recovery_ask(from, message.recovery_ask());
    case v1::Message::kRecoveryTold: return on_recovery_told(from, message.recovery_told(), now);
    case v1::Message::kSnapshotChunk: return on_snapshot_chunk(from, message.snapshot_chunk(), now);
    case v1::Message::kSnapshotAck: return on_snapshot_ack(from, message.snapshot_ack(), now);
    case v1::Message::kAttestation: return on_attestation(from, message.attestation(), now);
    case v1::Message::kStateClaims: return on_state_claims(from, message.state_claims(), now);
    case v1::Message::kClock: return on_clock(from, message.clock(), now);
    case v1::Message::kRemovalNotice: return on_removal_notice(message.removal_notice());
    case v1::Message::KIND_NOT_SET: return;  // of a newer version: its sender does without our answer
  }
}

void Engine::on_raft(NodeId from, const v1::GroupRaft& message, Instant now) {
  Group* group = known_group(message.group());
  // Who does not know yet how it all began cannot tell what a change of members comes to.
  if (group == nullptr || recovery_.asking()) return;
  const auto stepped = group->step(from, message.message());
  if (!stepped) return;  // forged, damaged or stale: not ours to answer
  if (stepped->type == MessageType::kAppendResponse && stepped->reject) {
    EC_PROBE("a follower lacks what an append follows");
  }
  if (stepped->type == MessageType::kAppendResponse && !stepped->reject) {
    group->acknowledged(from, stepped->term, stepped->index, message.promised_regions());
  }
  (void)now;
}

void Engine::on_lease_request(NodeId from, const v1::LeaseRequest& request, Instant now) {
  v1::LeaseGrant grant;
  grant.set_sent_us(request.sent_us());
  for (const auto& entry : request.positions()) {
    Group* group = known_group(entry.group());
    if (group == nullptr || (!group->gate_open() && options_.bug != Bug::kPromiseBehindGate)) continue;
    if (!group->configuration().votes(from)) continue;  // its region does not read by it
    witness_logs_[entry.group()].reached(region_of(from), position_of(entry.position()));
    const auto floor = group->promises().request(region_of(from), position_of(entry.position()), now);
    if (!floor) continue;
    auto* given = grant.add_floors();
    given->set_group(entry.group());
    given->mutable_position()->set_term(floor->term.value);
    given->mutable_position()->set_index(floor->index.value);
  }
  if (grant.floors_size() > 0) *to(from)->mutable_lease_grant() = std::move(grant);
}

void Engine::on_lease_grant(NodeId from, const v1::LeaseGrant& grant, Instant now) {
  for (const auto& floor : grant.floors()) {
    if (Group* group = known_group(floor.group())) {
      group->lease().granted(from, position_of(floor.position()), Instant{grant.sent_us()}, now);
    }
  }
}

void Engine::on_forward(NodeId from, const v1::Forward& forward, Instant now) {
  const auto reply = [this, from, request = forward.request()](Result<v1::Outcome> result) {
    v1::ForwardReply* answer = to(from)->mutable_forward_reply();
    answer->set_request(request);
    if (result) {
      answer->set_outcome(result->SerializeAsString());
    } else {
      answer->set_code(1 + static_cast<std::uint32_t>(result.error().code));
      answer->set_message(result.error().message);
    }
  };
  Group* group = known_group(forward.group());
  v1::Command command;
  if (group == nullptr || !command.ParseFromString(forward.command()))
    return reply(fail(Code::kInvalid, "the forwarded command does not parse"));
  if (command.has_change_membership() && command.change_membership().attested())
    return reply(fail(Code::kInvalid, "what is attested, the leader proposes itself"));
  group->propose(forward.command(), wall_.now(), reply);
  (void)now;
}

void Engine::on_forward_reply(NodeId, const v1::ForwardReply& reply, Instant now) {
  if (reply.code() != 0) {
    const auto code =
        reply.code() - 1 == static_cast<std::uint32_t>(Code::kUnavailable) ? Code::kUnavailable : Code::kUnknownOutcome;
    return submissions_.answered(reply.request(), fail(code, reply.message()), now);
  }
  v1::Outcome outcome;
  if (!outcome.ParseFromString(reply.outcome())) return;  // damaged: the attempt is repeated after its silence
  submissions_.answered(reply.request(), std::move(outcome), now);
}

void Engine::on_snapshot_chunk(NodeId from, const v1::SnapshotChunk& chunk, Instant now) {
  Group* group = known_group(chunk.group());
  if (group == nullptr) return;
  if (!takes_snapshot(from, group->id())) {
    // A witness sends none; this is for one that is mistaken about what it is.
    v1::SnapshotAck* refused = to(from)->mutable_snapshot_ack();
    refused->set_group(chunk.group());
    refused->set_snapshot(chunk.snapshot());
    return;
  }
  auto received = snapshot_receiver_->chunk(from, chunk, !keeps_records(group->id()));
  if (!received) {
    fatal_ = fail(received.error());
    return;
  }
  if (received->ack) *to(from)->mutable_snapshot_ack() = std::move(*received->ack);
  if (received->raft_message.empty()) return;
  snapshot_from_[group->id()] = from;
  v1::GroupRaft whole;
  whole.set_group(chunk.group());
  whole.set_message(received->raft_message);
  on_raft(from, whole, now);
}

void Engine::on_snapshot_ack(NodeId from, const v1::SnapshotAck& ack, Instant now) {
  Group* group = known_group(ack.group());
  if (group == nullptr) return;
  auto progress = snapshot_sender_->acknowledged(from, ack, now);
  for (auto& chunk : progress.chunks) *to(from)->mutable_snapshot_chunk() = std::move(chunk);
  if (progress.finished) group->raft().report_snapshot(from, *progress.finished);
}

void Engine::on_removal_notice(const v1::RemovalNotice& notice) {
  v1::Membership record;
  if (record.ParseFromString(notice.membership())) membership_->told_of_removal(std::move(record));
}

void Engine::on_clock(NodeId from, const v1::ClockReport& report, Instant now) {
  // Every node says its time to everybody it knows of, every few seconds, also one whose region has gone without it.
  if (membership_->removed(region_of(from))) {
    EC_PROBE("a node of a removed region is told so");
    to(from)->mutable_removal_notice()->set_membership(membership_->record().SerializeAsString());
    return;
  }
  clock_echoes_[from] = {report.echo_us(), now};
  if (report.named_regions() <= kMostRegions)
    membership_->names(from, {static_cast<std::uint8_t>(report.named_regions()), report.named_witnesses()});
  if (report.reply_to_us() == 0) return;
  const Duration round_trip = now - Instant{report.reply_to_us()} - Duration{report.held_us()};
  if (round_trip < 0us || round_trip > 5s) return;  // an echo of another life
  clocks_.report(from, WallTime{report.wall_ms()}, wall_.now(), round_trip, now);
}

}  // namespace evercert::store
