// SPDX-License-Identifier: Apache-2.0
#include "store/state_digest.h"

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/probe.h"

namespace evercert::store {
namespace {

constexpr std::size_t kRemembered = 4096;  // digests, of the newest entries: others are seldom further behind
constexpr std::size_t kClaimsKept = 8;
constexpr std::uint64_t kLandmark = 64;  // entries of which everybody speaks, until the next one
constexpr std::size_t kChainBytes = 32;

void append(std::string& bytes, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift);
}

std::uint64_t number_at(std::string_view bytes) {
  std::uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = number << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  return number;
}

}  // namespace

void StateDigest::add(LogIndex index, std::string_view changes) {
  std::string link = chain;
  append(link, index.value);
  link += changes;
  chain = sha256(link);
}

std::uint64_t StateDigest::short_form() const { return chain.size() < 8 ? 0 : number_at(chain); }

std::string StateDigest::encode() const {
  std::string bytes;
  append(bytes, since.value);
  return bytes + chain;
}

Result<StateDigest> StateDigest::decode(std::string_view bytes) {
  if (bytes.size() != 8 && bytes.size() != 8 + kChainBytes)
    return fail(Code::kCorrupt, "the digest of a group's state does not parse");
  return StateDigest{LogIndex{number_at(bytes)}, std::string(bytes.substr(8))};
}

std::string copied_key(GroupId group) { return "copied/" + std::to_string(group.value); }

std::string StateCopy::encode() const {
  std::string bytes;
  append(bytes, from.value);
  append(bytes, index.value);
  return bytes;
}

Result<StateCopy> StateCopy::decode(std::string_view bytes) {
  if (bytes.size() != 16) return fail(Code::kCorrupt, "whose state a group's state is a copy of does not parse");
  return StateCopy{NodeId{number_at(bytes)}, LogIndex{number_at(bytes.substr(8))}};
}

std::optional<std::uint64_t> StateAudit::Own::at(LogIndex index) const {
  if (index > newest || newest.value - index.value >= digests.size()) return std::nullopt;
  return digests[digests.size() - 1 - (newest.value - index.value)];
}

void StateAudit::begin(GroupId group, const StateDigest& state, LogIndex index, std::optional<StateCopy> copied) {
  groups_[group] = {state.since, index, {state.short_form()}, {}, copied};
}

void StateAudit::confirm_if_unanimous(GroupId group, const Configuration& voters) {
  const auto found = groups_.find(group);
  if (found == groups_.end() || !found->second.copied) return;
  Own& own = found->second;
  const auto agrees = [&](NodeId voter) {
    const auto peer = own.peers.find(voter);
    return voter == self_ || (peer != own.peers.end() && peer->second.agreed >= own.copied->index);
  };
  if (std::ranges::all_of(voters.halves, [&](const Layout& half) { return std::ranges::all_of(half.nodes, agrees); }))
    own.copied.reset();
}

NodeId StateAudit::copied_from(GroupId group) const {
  const auto own = groups_.find(group);
  return own == groups_.end() || !own->second.copied ? NodeId{0} : own->second.copied->from;
}

// Who computed what the node's state says: itself, or whoever a chain of copies began with. Those of a ring, which
// took over each other's, are one: the first of them by number. kNotMe: what was taken over from this replica was right
// by its own word, so the chain ends before it.
NodeId StateAudit::origin(const Own& own, NodeId node, Through through) const {
  const auto copied_from = [&](NodeId from) {
    if (from == self_) return own.copied ? own.copied->from : NodeId{0};
    const auto peer = own.peers.find(from);
    return peer == own.peers.end() ? NodeId{0} : peer->second.copied_from;
  };
  std::vector<NodeId> way{node};
  for (NodeId next = copied_from(node); next != NodeId{0}; next = copied_from(next)) {
    if (through == Through::kNotMe && next == self_) break;
    const auto met = std::ranges::find(way, next);
    if (met != way.end()) return *std::min_element(met, way.end());
    way.push_back(next);
  }
  return way.back();
}

void StateAudit::applied(GroupId group, LogIndex index, std::uint64_t digest, Instant now) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return;
  Own& own = found->second;
  own.newest = index;
  own.digests.push_back(digest);
  if (own.digests.size() > kRemembered) own.digests.pop_front();
  for (auto& [node, peer] : own.peers) {
    if (!peer.waiting || peer.waiting->index > index) continue;
    compare(own, node, peer, *peer.waiting, now);
    peer.waiting.reset();
  }
}

std::vector<StateAudit::Claim> StateAudit::claims(GroupId group) const {
  std::vector<Claim> claims;
  const auto found = groups_.find(group);
  if (found == groups_.end()) return claims;
  const Own& own = found->second;
  const NodeId copied = copied_from(group);
  claims.push_back({own.since, own.newest, own.digests.back(), copied});
  const LogIndex landmark{own.newest.value / kLandmark * kLandmark};
  if (const auto there = own.at(landmark); there && landmark != own.newest)
    claims.push_back({own.since, landmark, *there, copied});
  return claims;
}

// Digests are a chain: who has the same one at an entry has had the same at all before it.
void StateAudit::compare(Own& own, NodeId node, Peer& peer, const Claim& claim, Instant now) const {
  const auto here = own.at(claim.index);
  if (!here) return;
  if (*here == claim.digest) {
    const bool is_newest =
        std::ranges::all_of(peer.said, [&](const Claim& other) { return other.index <= claim.index; });
    peer.agreed = std::max(peer.agreed, claim.index);
    if (is_newest) peer.shown = now;  // of earlier entries it says nothing about those after them
    if (peer.differs && claim.index >= *peer.differs) peer.differs.reset();  // its state was replaced
    if (own.copied && claim.index >= own.copied->index &&
        origin(own, node, Through::kMe) != origin(own, self_, Through::kMe)) {
      EC_PROBE("a state that was taken over is confirmed by another replica");
      own.copied.reset();
    }
  } else {
    EC_PROBE("a replica's state differs from another's");
    peer.differs = claim.index;
  }
}

void StateAudit::told(NodeId from, GroupId group, const Claim& claim, Instant now) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return;
  Own& own = found->second;
  Peer& peer = own.peers[from];
  if (claim.since != own.since) {  // nothing can be said
    peer = {};
    return;
  }
  std::erase_if(peer.said, [&](const Claim& known) { return known.index == claim.index; });
  peer.said.push_back(claim);
  peer.copied_from = claim.copied_from;
  if (peer.said.size() > kClaimsKept) peer.said.pop_front();
  if (claim.index > own.newest) {
    if (!peer.waiting) peer.waiting = claim;
  } else {
    compare(own, from, peer, claim, now);
  }
}

void StateAudit::forget(NodeId from) {
  for (auto& [group, own] : groups_) own.peers.erase(from);
}

bool StateAudit::shown(GroupId group, NodeId node, Instant now) const {
  const auto own = groups_.find(group);
  if (own == groups_.end()) return true;
  const auto peer = own->second.peers.find(node);
  return peer != own->second.peers.end() && !peer->second.differs && peer->second.shown.us != 0 &&
         now - peer->second.shown <= valid_;
}

std::optional<LogIndex> StateAudit::minority(GroupId group, const Configuration& voters) const {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return std::nullopt;
  const Own& own = found->second;
  // By entry and digest, who has it.
  std::map<std::pair<LogIndex, std::uint64_t>, std::vector<NodeId>> others;
  for (const auto& [node, peer] : own.peers) {
    if (!peer.differs) continue;
    for (const Claim& claim : peer.said) {
      const auto here = own.at(claim.index);
      if (here && *here != claim.digest) others[{claim.index, claim.digest}].push_back(node);
    }
  }
  for (const auto& [what, nodes] : others) {
    const bool majority = std::ranges::all_of(voters.halves, [&](const Layout& half) {
      std::set<NodeId> votes;
      for (const NodeId node : nodes) {
        if (half.contains(node)) votes.insert(bug_ == Bug::kCountCopies ? node : origin(own, node, Through::kNotMe));
      }
      return votes.size() >= half.majority();
    });
    if (majority) return what.first;
  }
  return std::nullopt;
}

std::optional<LogIndex> StateAudit::differs(GroupId group, NodeId node) const {
  const auto own = groups_.find(group);
  if (own == groups_.end()) return std::nullopt;
  const auto peer = own->second.peers.find(node);
  return peer == own->second.peers.end() ? std::nullopt : peer->second.differs;
}

}  // namespace evercert::store
