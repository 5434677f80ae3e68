// SPDX-License-Identifier: Apache-2.0
// The replicas' states, shown to each other.
#include "base/log.h"
#include "base/probe.h"
#include "store/engine.h"
#include "store/keys.h"
#include "store/membership_keeper.h"

namespace evercert::store {

Status Engine::load_digest(GroupId group, LogIndex applied) {
  if (!keeps_records(group)) return {};
  EC_ASSIGN(const auto stored, kv_.get(state_key(group, kStateDigestRecord)));
  StateDigest digest{applied, {}};
  if (stored) {
    EC_ASSIGN(digest, StateDigest::decode(*stored));
  }
  std::optional<StateCopy> copied;
  if (const auto said = log_.meta(copied_key(group))) {
    EC_ASSIGN(copied, StateCopy::decode(*said));
    copies_.insert(group);
  }
  audit_.begin(group, digest, applied, copied);
  digests_[group] = std::move(digest);
  return {};
}

// Tells the others, and draws the conclusion for this replica.
void Engine::audit_round() {
  v1::StateClaims all;
  for (const auto& group : groups_) {
    audit_.confirm_if_unanimous(group->id(), group->configuration());
    for (const StateAudit::Claim& claim : audit_.claims(group->id())) {
      v1::StateClaim* said = all.add_claims();
      said->set_group(group->id().value);
      said->set_since(claim.since.value);
      said->set_index(claim.index.value);
      said->set_digest(claim.digest);
      said->set_copied_from(claim.copied_from.value);
    }
    if (audit_.copied_from(group->id()) == NodeId{0} && copies_.erase(group->id()) > 0)
      log_.remove_meta(copied_key(group->id()));
    for (const NodeId node : others_) {
      const auto where = audit_.differs(group->id(), node);
      if (!where || !told_to_differ_.insert({group->id(), node}).second) continue;
      log_warning("store: the state of group " + std::to_string(group->id().value) +
                  " differs between this node and node " + std::to_string(node.value) + " at entry " +
                  std::to_string(where->value) +
                  ". While no majority of the voters agrees, a person must say which of them is wrong: "
                  "docs/cycles/membership.md, \"When nobody can tell\"");
    }
    const auto where = audit_.minority(group->id(), group->configuration());
    if (!where || options_.bug == Bug::kIgnoreMinority) continue;
    EC_PROBE("a replica finds that its state is not that of the majority");
    const std::string what = "the state of group " + std::to_string(group->id().value) +
                             " is not that of a majority at entry " + std::to_string(where->value);
    log_.put_meta(std::string(kDivergedKey), what);
    const Status synced = log_.sync();
    fatal_ = synced ? fail(Code::kCorrupt, what + std::string(kReplaceState)) : synced;
    return;
  }
  for (const NodeId node : others_) *to(node)->mutable_state_claims() = all;
}

void Engine::on_state_claims(NodeId from, const v1::StateClaims& claims, Instant now) {
  if (claims.claims_size() > 2 * (kMostRegions + 1)) return;
  for (const auto& claim : claims.claims()) {
    if (known_group(claim.group()) == nullptr) continue;
    audit_.told(from, GroupId{claim.group()},
                {LogIndex{claim.since()}, LogIndex{claim.index()}, claim.digest(), NodeId{claim.copied_from()}}, now);
  }
}

// Regions that wait to be admitted and have not shown, by a quorum of their voters, that they have the state which this
// replica has, in each group. They are held to be silent.
RegionSet Engine::unshown(Instant now) const {
  RegionSet set = 0;
  for (std::uint8_t r = 1; r <= options_.layout.regions; ++r) {
    const RegionId region{r};
    if (region == region_of(options_.self) || !membership_->waits_for_admission(region)) continue;
    for (const auto& group : groups_) {
      if (group->id() != kGlobalGroup && options_.layout.is_witness(region)) continue;  // it has no state of these
      for (const Layout& half : group->configuration().halves) {
        const auto shown = std::ranges::count_if(
            half.nodes, [&](NodeId node) { return region_of(node) == region && audit_.shown(group->id(), node, now); });
        if (half.replicas_in(region) > 0 && static_cast<std::size_t>(shown) < half.region_quorum(region))
          set |= region_bit(region);
      }
    }
  }
  return set;
}

}  // namespace evercert::store
