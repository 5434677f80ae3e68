// SPDX-License-Identifier: Apache-2.0
#include "store/membership.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "store/keys.h"
#include "store/standby_duty.h"

namespace evercert::store {
namespace {

constexpr std::int64_t kFlapMemoryMs = 600'000;  // fences that are further apart have nothing to do with each other

v1::RegionMember* entry_of(v1::Membership& membership, RegionId region) {
  for (auto& member : *membership.mutable_members()) {
    if (member.region() == region.value) return &member;
  }
  return nullptr;
}

bool is_done(const v1::Membership& membership, const v1::RegionMember& member, const v1::ChangeMembership& wanted) {
  if (!wanted.request_id().empty() && member.request_id() == wanted.request_id()) return true;
  return membership.epoch() > wanted.expected_epoch() && member.epoch() == wanted.expected_epoch() + 1 &&
         member.state() == wanted.state() && member.by() == wanted.by() && member.reason() == wanted.reason();
}

// What a leader may not do without a person.
Status may_without_person(const v1::RegionMember& member, const v1::ChangeMembership& wanted, std::uint8_t regions,
                          Bug bug) {
  const RegionSet own = region_bit(RegionId{static_cast<std::uint8_t>(wanted.region())});
  RegionSet all = 0;
  for (std::uint8_t r = 1; r <= regions; ++r) all |= region_bit(RegionId{r});
  if (std::popcount(wanted.attesters() & all & ~own) <= regions / 2)
    return fail(Code::kConflict, "no majority of regions has attested it");
  const bool fenced = member.state() == v1::FENCED;
  if (wanted.state() == v1::FENCED && fenced) return fail(Code::kConflict, "the region is fenced already");
  if (wanted.state() != v1::FENCED && !fenced) return fail(Code::kConflict, "the region is not fenced");
  if (fenced && !member.attested() && bug != Bug::kUndoOperatorsFence)
    return fail(Code::kConflict, "an operator has fenced the region: only an operator admits it again");
  return {};
}

Status may_by_operator(const v1::RegionMember& member, const v1::ChangeMembership& wanted) {
  if (member.state() == v1::FENCED && wanted.state() == v1::DRAINING)
    return fail(Code::kConflict, "the region is fenced: unfence it before it is drained");
  // A person may make a fence his own that came by attestation: it stays then.
  const bool again = member.state() == wanted.state() && !(member.state() == v1::FENCED && member.attested());
  if (again) return fail(Code::kConflict, "the region is " + std::string(to_string(member.state())) + " already");
  return {};
}

void carry_out(v1::RegionMember& member, const v1::ChangeMembership& wanted, std::uint64_t epoch,
               std::int64_t proposed_at_ms) {
  const v1::RegionState earlier = member.state();
  member.set_region(wanted.region());
  member.set_state(wanted.state());
  member.set_reason(wanted.reason());
  member.set_by(wanted.by());
  member.set_since_ms(proposed_at_ms);
  member.set_epoch(epoch);
  member.set_attested(wanted.attested());
  if (!wanted.attested()) member.set_request_id(wanted.request_id());  // a person's repetition is known through fences
  if (wanted.state() != v1::FENCED) {
    // Whom attestations fenced, the end of them puts back where he was.
    if (wanted.attested()) member.set_state(member.before());
    return;
  }
  member.set_fence_epoch(epoch);
  if (!wanted.attested()) return;
  member.set_before(earlier);
  const bool flaps = member.fences() > 0 && proposed_at_ms - member.fenced_ms() < kFlapMemoryMs;
  member.set_fences(flaps ? member.fences() + 1 : 1);
  member.set_fenced_ms(proposed_at_ms);
}

}  // namespace

std::string_view to_string(v1::RegionState state) {
  switch (state) {
    case v1::DRAINING: return "draining";
    case v1::FENCED: return "fenced";
    default: return "serving";
  }
}

v1::Membership first_membership() {
  v1::Membership membership;
  membership.set_epoch(1);
  return membership;
}

v1::RegionMember member_of(const v1::Membership& membership, RegionId region) {
  for (const auto& member : membership.members()) {
    if (member.region() == region.value) return member;
  }
  v1::RegionMember member;
  member.set_region(region.value);
  member.set_epoch(1);
  return member;
}

RegionSet serving(const v1::Membership& membership, std::uint8_t regions) {
  RegionSet set = 0;
  for (std::uint8_t r = 1; r <= regions; ++r) {
    if (member_of(membership, RegionId{r}).state() == v1::SERVING) set |= region_bit(RegionId{r});
  }
  return set;
}

Result<Changed> change(v1::Membership& membership, const v1::ChangeMembership& wanted, std::uint8_t regions,
                       std::int64_t proposed_at_ms, Bug bug) {
  if (wanted.region() == 0 || wanted.region() > regions) return fail(Code::kNotFound, "there is no such region");
  if (!v1::RegionState_IsValid(wanted.state())) return fail(Code::kInvalid, "there is no such state of a region");
  const RegionId region{static_cast<std::uint8_t>(wanted.region())};
  const v1::RegionMember present = member_of(membership, region);
  if (is_done(membership, present, wanted)) return Changed{present.epoch(), true};
  if (wanted.expected_epoch() != membership.epoch())
    return fail(Code::kConflict,
                "the membership has changed meanwhile: its epoch is " + std::to_string(membership.epoch()));
  if (wanted.attested()) {
    EC_TRY(may_without_person(present, wanted, regions, bug));
  } else {
    EC_TRY(may_by_operator(present, wanted));
  }
  if (wanted.state() != v1::SERVING && (serving(membership, regions) & ~region_bit(region)) == 0)
    return fail(Code::kConflict, "no other region serves: admit one again before");
  if (bug != Bug::kEpochStays) membership.set_epoch(membership.epoch() + 1);
  v1::RegionMember* entry = entry_of(membership, region);
  if (entry == nullptr) entry = membership.add_members();
  carry_out(*entry, wanted, membership.epoch(), proposed_at_ms);
  assign_stand_ins(membership, regions, bug);
  return Changed{membership.epoch(), false};
}

bool knows(const v1::Membership& membership, const std::string& reformation) {
  return std::any_of(membership.reformations().begin(), membership.reformations().end(),
                     [&](const auto& known) { return known.id() == reformation; });
}

Result<Changed> record(v1::Membership& membership, const v1::Reformation& reformation, std::uint8_t regions,
                       std::int64_t proposed_at_ms) {
  if (reformation.voters().empty()) return fail(Code::kInvalid, "a group has at least one voter");
  if (knows(membership, reformation.id())) return Changed{membership.epoch(), true};
  membership.set_epoch(membership.epoch() + 1);
  *membership.add_reformations() = reformation;
  membership.clear_replicas();  // they were wanted in groups that are no more
  RegionSet left = 0;
  for (const auto voter : reformation.voters()) left |= region_bit(region_of(NodeId{voter}));
  for (std::uint8_t r = 1; r <= regions; ++r) {
    if ((left & region_bit(RegionId{r})) != 0) continue;
    v1::ChangeMembership fence;
    fence.set_region(r);
    fence.set_state(v1::FENCED);
    fence.set_by(reformation.by());
    fence.set_reason("lost: the quorum was made anew without it; " + reformation.losses());
    v1::RegionMember* entry = entry_of(membership, RegionId{r});
    carry_out(entry != nullptr ? *entry : *membership.add_members(), fence, membership.epoch(), proposed_at_ms);
  }
  assign_stand_ins(membership, regions);
  return Changed{membership.epoch(), false};
}

Result<Changed> change(v1::Membership& membership, const v1::ChangeReplicas& wanted, std::uint8_t regions,
                       std::int64_t proposed_at_ms) {
  const v1::Replicas& present = membership.replicas();
  if (!wanted.request_id().empty() && present.request_id() == wanted.request_id())
    return Changed{present.epoch(), true};
  if (wanted.expected_epoch() != membership.epoch())
    return fail(Code::kConflict,
                "the membership has changed meanwhile: its epoch is " + std::to_string(membership.epoch()));
  if (wanted.nodes().empty()) return fail(Code::kInvalid, "a group has at least one voter");
  RegionSet left = 0;
  std::uint64_t last = 0;
  for (const auto& replica : wanted.nodes()) {
    const RegionId region = region_of(NodeId{replica.node()});
    if (replica.node() >= 65536 || region.value == 0 || region.value > regions || replica.node() % 256 == 0)
      return fail(Code::kInvalid, "no region has a node " + std::to_string(replica.node()));
    if (replica.node() <= last) return fail(Code::kInvalid, "the nodes must be ascending, each of them once");
    last = replica.node();
    left |= region_bit(region);
  }
  for (std::uint8_t r = 1; r <= regions; ++r) {
    const bool serves = member_of(membership, RegionId{r}).state() == v1::SERVING;
    if (serves && (left & region_bit(RegionId{r})) == 0)
      return fail(Code::kConflict, "region " + std::to_string(r) +
                                       " serves and would have no node: drain it first, until its clients have gone");
  }
  membership.set_epoch(membership.epoch() + 1);
  v1::Replicas& replicas = *membership.mutable_replicas();
  *replicas.mutable_nodes() = wanted.nodes();
  replicas.set_by(wanted.by());
  replicas.set_reason(wanted.reason());
  replicas.set_since_ms(proposed_at_ms);
  replicas.set_epoch(membership.epoch());
  replicas.set_request_id(wanted.request_id());
  return Changed{membership.epoch(), false};
}

std::vector<NodeId> wanted_voters(const v1::Membership& membership) {
  std::vector<NodeId> nodes;
  for (const auto& replica : membership.replicas().nodes()) nodes.push_back(NodeId{replica.node()});
  return nodes;
}

bool refused_by_fence(const Error& error) {
  return error.code == Code::kConflict && error.message.starts_with(kFencedPrefix);
}

std::string below_floor(RegionId issuer, std::uint64_t epoch, std::uint64_t floor) {
  return std::string(kFencedPrefix) + "region " + std::to_string(issuer.value) + " was fenced in epoch " +
         std::to_string(floor) + "; this was signed in epoch " + std::to_string(epoch);
}

Status EpochFloors::load(GroupId group, const Kv& kv) {
  floors_.at(group.value).fill(0);
  const std::string prefix = state_key(group, kEpochFloorPrefix);
  std::string end = prefix;
  ++end.back();
  bool sound = true;
  EC_TRY(kv.scan(prefix, end, SIZE_MAX, [&](std::string_view key, std::string_view value) {
    std::uint64_t epoch = 0;
    sound = key.size() == prefix.size() + 1 &&
            std::from_chars(value.data(), value.data() + value.size(), epoch).ec == std::errc{};
    if (sound) floors_.at(group.value)[static_cast<std::uint8_t>(key.back())] = epoch;
    return sound;
  }));
  return sound ? Status{} : fail(Code::kCorrupt, "a stored epoch floor does not parse");
}

Result<v1::Membership> load_membership(const Kv& kv) {
  EC_ASSIGN(const auto bytes, kv.get(state_key(kGlobalGroup, membership_record())));
  if (!bytes) return first_membership();
  v1::Membership membership;
  if (!membership.ParseFromString(*bytes)) return fail(Code::kCorrupt, "the membership record does not parse");
  return membership;
}

}  // namespace evercert::store
