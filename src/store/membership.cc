// SPDX-License-Identifier: Apache-2.0
#include "store/membership.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "base/probe.h"
#include "store/keys.h"
#include "store/standby_duty.h"

namespace evercert::store {
namespace {

using Nodes = google::protobuf::RepeatedPtrField<v1::Replica>;

constexpr std::string_view kWitnessStays =
    "the region is a witness: it votes, keeps no records and serves nobody, so there is nothing to fence, drain or "
    "admit (it can be removed)";
constexpr std::int64_t kFlapMemoryMs = 600'000;  // fences that are further apart have nothing to do with each other

v1::RegionMember* entry_of(v1::Membership& membership, RegionId region) {
  for (auto& member : *membership.mutable_members()) {
    if (member.region() == region.value) return &member;
  }
  return nullptr;
}

bool is_done(const v1::Membership& membership, const v1::RegionMember& member, const v1::ChangeMembership& wanted) {
  if ((member.state() == v1::REMOVED) != (wanted.state() == v1::REMOVED)) return false;
  if (!wanted.request_id().empty() && member.request_id() == wanted.request_id()) return true;
  return membership.epoch() > wanted.expected_epoch() && member.epoch() == wanted.expected_epoch() + 1 &&
         member.state() == wanted.state() && member.by() == wanted.by() && member.reason() == wanted.reason();
}

bool is_node(std::uint64_t node, std::uint8_t regions) {
  return node < 65536 && node % 256 != 0 && node / 256 >= 1 && node / 256 <= regions;
}

std::string removed_for_good(const v1::RegionMember& member) {
  return "the region was removed in epoch " + std::to_string(member.epoch()) +
         ", for good: add another, by another name";
}

// Which regions would have voters. kInvalid: these are no nodes. kConflict: a region that serves would have none, or
// one that was removed would.
Result<RegionSet> regions_with_voters(const v1::Membership& membership, const Nodes& nodes, std::uint8_t regions) {
  const RegionSet witnesses = witnesses_of(membership);
  RegionSet with = 0;
  std::uint64_t last = 0;
  int witnessing = 0;
  for (const auto& replica : nodes) {
    const RegionId region = region_of(NodeId{replica.node()});
    if (!is_node(replica.node(), regions))
      return fail(Code::kInvalid, "no region has a node " + std::to_string(replica.node()));
    if (replica.node() <= last) return fail(Code::kInvalid, "the nodes must be ascending, each of them once");
    last = replica.node();
    with |= region_bit(region);
    witnessing += (witnesses & region_bit(region)) != 0 ? 1 : 0;
  }
  // What is acknowledged must be in a record somewhere, so no majority may do without a node that keeps some.
  if (witnessing > nodes.size() / 2)
    return fail(Code::kConflict, "witnesses would be a majority by themselves, and they keep no records");
  for (std::uint8_t r = 1; r <= regions; ++r) {
    const v1::RegionMember member = member_of(membership, RegionId{r});
    const bool votes = (with & region_bit(RegionId{r})) != 0;
    if (member.state() == v1::REMOVED && votes) return fail(Code::kConflict, removed_for_good(member));
    if (member.state() == v1::SERVING && !votes)
      return fail(Code::kConflict, "region " + std::to_string(r) +
                                       " serves and would have no node: drain it first, until its clients have gone");
  }
  return with;
}

// The voters of the other regions are to go on, all of them, and in two regions at the least: with one, its loss would
// be the cluster's.
Status check_who_is_left(const v1::Membership& membership, const v1::ChangeMembership& wanted, std::uint8_t regions) {
  const RegionId region{static_cast<std::uint8_t>(wanted.region())};
  EC_ASSIGN(const RegionSet with, regions_with_voters(membership, wanted.nodes(), regions));
  Nodes left = membership.replicas().nodes();
  const auto own = [&](const v1::Replica& replica) { return region_of(NodeId{replica.node()}) == region; };
  left.erase(std::remove_if(left.begin(), left.end(), own), left.end());
  const auto same = [](const v1::Replica& a, const v1::Replica& b) { return a.node() == b.node(); };
  const bool known = !membership.replicas().nodes().empty();
  if ((with & region_bit(region)) != 0 ||
      (known && !std::equal(left.begin(), left.end(), wanted.nodes().begin(), wanted.nodes().end(), same)))
    return fail(Code::kInvalid, "when a region is removed, the nodes of all others go on voting, and no others");
  if (std::popcount(with & ~witnesses_of(membership)) < 2)
    return fail(Code::kConflict,
                "without its nodes the voters would be in one region, whose loss would be the loss of the cluster: add "
                "nodes of another region first");
  return {};
}

// From now on these are to vote, by whoever asks for it. Of a change that is about something else it has no request id.
template <class Change>
void want(v1::Membership& membership, const Change& wanted, std::int64_t proposed_at_ms) {
  v1::Replicas& replicas = *membership.mutable_replicas();
  replicas.Clear();
  *replicas.mutable_nodes() = wanted.nodes();
  replicas.set_by(wanted.by());
  replicas.set_reason(wanted.reason());
  replicas.set_since_ms(proposed_at_ms);
  replicas.set_epoch(membership.epoch());
}

// What a leader may not do without a person.
Status may_without_person(const v1::RegionMember& member, const v1::ChangeMembership& wanted, RegionSet counting,
                          Bug bug) {
  if (member.state() == v1::WITNESS) return fail(Code::kConflict, std::string(kWitnessStays));
  const RegionSet own = region_bit(RegionId{static_cast<std::uint8_t>(wanted.region())});
  const std::size_t needed = silenced(wanted.state())
                                 ? static_cast<std::size_t>(std::popcount(counting)) / 2 + 1
                                 : admitters_needed(counting, RegionId{static_cast<std::uint8_t>(wanted.region())});
  if (static_cast<std::size_t>(std::popcount(wanted.attesters() & counting & ~own)) < needed)
    return fail(Code::kConflict, "no majority of regions has attested it");
  const bool comes_back = member.state() == v1::REMOVED && bug == Bug::kRemovedComesBack;
  if (wanted.state() == v1::REMOVED) return fail(Code::kInvalid, "only a person removes a region");
  if (member.state() == v1::REMOVED && !comes_back) return fail(Code::kConflict, removed_for_good(member));
  if (comes_back) return {};
  const bool fenced = member.state() == v1::FENCED, joins = member.state() == v1::JOINING;
  if ((wanted.state() == v1::WITNESS) != (joins && is_witness(member)))
    return fail(Code::kInvalid, "a witness joins as a witness, and no other region does");
  if (wanted.state() == v1::FENCED && (fenced || joins))
    return fail(Code::kConflict, "the region is " + std::string(to_string(member.state())) + " already");
  if (wanted.state() != v1::FENCED && !fenced && !joins) return fail(Code::kConflict, "the region is not fenced");
  if (fenced && !member.attested() && bug != Bug::kUndoOperatorsFence)
    return fail(Code::kConflict, "an operator has fenced the region: only an operator admits it again");
  return {};
}

Status may_by_operator(const v1::RegionMember& member, const v1::ChangeMembership& wanted) {
  if (wanted.state() == v1::JOINING) return fail(Code::kInvalid, "a region joins once, when it is added");
  if (member.state() == v1::REMOVED) return fail(Code::kConflict, removed_for_good(member));
  if (wanted.state() == v1::REMOVED && member.state() == v1::SERVING)
    return fail(Code::kConflict, "the region serves: drain or fence it first, until its clients have gone");
  if (wanted.state() == v1::WITNESS && !is_witness(member))
    return fail(Code::kInvalid, "which regions are witnesses is laid down when they are added");
  const bool joins_or_goes =
      wanted.state() == v1::REMOVED || (member.state() == v1::JOINING && wanted.state() == v1::WITNESS);
  if (is_witness(member) && !joins_or_goes) return fail(Code::kConflict, std::string(kWitnessStays));
  if (member.state() == v1::FENCED && wanted.state() == v1::DRAINING)
    return fail(Code::kConflict, "the region is fenced: unfence it before it is drained");
  if (member.state() == v1::JOINING && wanted.state() == v1::DRAINING)
    return fail(Code::kConflict, "the region is joining, and serves nobody yet");
  // A person may make his own what came by attestation, or by the failover controller: it stays then.
  const bool takes_over =
      (member.state() == v1::FENCED && member.attested()) || (member.ordered_token() != 0 && wanted.token() == 0);
  const bool again = member.state() == wanted.state() && !takes_over;
  if (again) return fail(Code::kConflict, "the region is " + std::string(to_string(member.state())) + " already");
  return {};
}

void carry_out(v1::RegionMember& member, const v1::ChangeMembership& wanted, std::uint64_t epoch,
               std::int64_t proposed_at_ms) {
  const v1::RegionState earlier = member.state();
  if (earlier == v1::JOINING && wanted.state() == v1::REMOVED) EC_PROBE("a region that joins is given up");
  if (earlier == v1::WITNESS) member.set_witness(true);  // and remains one when it is removed
  if (earlier == v1::WITNESS && wanted.state() == v1::REMOVED) EC_PROBE("a witness is removed");
  if (earlier == v1::JOINING && wanted.state() == v1::WITNESS) EC_PROBE("a witness that was added counts");
  member.set_region(wanted.region());
  member.set_state(wanted.state());
  member.set_reason(wanted.reason());
  member.set_by(wanted.by());
  member.set_since_ms(proposed_at_ms);
  member.set_epoch(epoch);
  member.set_attested(wanted.attested());
  if (!wanted.attested()) {
    member.set_request_id(wanted.request_id());  // a person's repetition is known through fences
    member.set_ordered_by(wanted.by());
    member.set_ordered_epoch(epoch);
    member.set_ordered_token(wanted.token());
  }
  if (!silenced(wanted.state())) {
    // Whom attestations fenced, the end of them puts back where he was.
    if (wanted.attested() && wanted.state() != v1::WITNESS) member.set_state(member.before());
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
    case v1::JOINING: return "joining";
    case v1::REMOVED: return "removed";
    case v1::WITNESS: return "witness";
    default: return "serving";
  }
}

v1::Membership first_membership(RegionSet witnesses) {
  v1::Membership membership;
  membership.set_epoch(1);
  for (std::uint8_t r = 1; r <= kMostRegions; ++r) {
    if ((witnesses & region_bit(RegionId{r})) == 0) continue;
    v1::RegionMember& member = *membership.add_members();
    member.set_region(r);
    member.set_state(v1::WITNESS);
    member.set_epoch(1);
  }
  return membership;
}

bool is_witness(const v1::RegionMember& member) { return member.witness() || member.state() == v1::WITNESS; }

RegionSet witnesses_of(const v1::Membership& membership) {
  RegionSet set = 0;
  for (const auto& member : membership.members()) {
    if (is_witness(member)) set |= region_bit(RegionId{static_cast<std::uint8_t>(member.region())});
  }
  return set;
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

bool silenced(v1::RegionState state) { return state == v1::FENCED || state == v1::REMOVED; }

RegionSet serving(const v1::Membership& membership, std::uint8_t regions) {
  RegionSet set = 0;
  for (std::uint8_t r = 1; r <= regions; ++r) {
    if (member_of(membership, RegionId{r}).state() == v1::SERVING) set |= region_bit(RegionId{r});
  }
  return set;
}

RegionSet counted(const v1::Membership& membership, std::uint8_t regions) {
  RegionSet set = 0;
  for (std::uint8_t r = 1; r <= regions; ++r) {
    const v1::RegionState state = member_of(membership, RegionId{r}).state();
    if (state != v1::JOINING && state != v1::REMOVED) set |= region_bit(RegionId{r});
  }
  return set;
}

std::size_t admitters_needed(RegionSet counting, RegionId region) {
  const auto all = static_cast<std::size_t>(std::popcount(counting));
  const auto others = static_cast<std::size_t>(std::popcount(counting & ~region_bit(region)));
  return std::max<std::size_t>(std::min(all / 2 + 1, others), 1);
}

std::uint8_t region_count(const v1::Membership& membership, std::uint8_t founding) {
  return static_cast<std::uint8_t>(founding + membership.foundings_size());
}

const v1::Founding* founding_of(const v1::Membership& membership, RegionId region) {
  for (const auto& founding : membership.foundings()) {
    if (founding.region() == region.value) return &founding;
  }
  return nullptr;
}

Result<Changed> change(v1::Membership& membership, const v1::ChangeMembership& wanted, std::uint8_t founding,
                       std::int64_t proposed_at_ms, Bug bug) {
  const std::uint8_t regions = region_count(membership, founding);
  if (wanted.region() == 0 || wanted.region() > regions) return fail(Code::kNotFound, "there is no such region");
  if (!v1::RegionState_IsValid(wanted.state())) return fail(Code::kInvalid, "there is no such state of a region");
  const RegionId region{static_cast<std::uint8_t>(wanted.region())};
  const v1::RegionMember present = member_of(membership, region);
  if (is_done(membership, present, wanted)) return Changed{present.epoch(), true};
  if (wanted.expected_epoch() != membership.epoch())
    return fail(Code::kConflict,
                "the membership has changed meanwhile: its epoch is " + std::to_string(membership.epoch()));
  if (wanted.attested()) {
    EC_TRY(may_without_person(present, wanted, counted(membership, regions), bug));
  } else {
    EC_TRY(may_by_operator(present, wanted));
  }
  if (wanted.state() != v1::SERVING && (serving(membership, regions) & ~region_bit(region)) == 0)
    return fail(Code::kConflict, "no other region serves: admit one again before");
  const bool removes = wanted.state() == v1::REMOVED;
  if (removes != !wanted.nodes().empty())
    return fail(Code::kInvalid, "who is to vote is said when a region is removed, and only then");
  if (removes) EC_TRY(check_who_is_left(membership, wanted, regions));
  if (bug != Bug::kEpochStays) membership.set_epoch(membership.epoch() + 1);
  if (removes && bug != Bug::kRemovedKeepsVoting) want(membership, wanted, proposed_at_ms);
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

Result<Changed> record(v1::Membership& membership, const v1::Reformation& reformation, std::uint8_t founding,
                       std::int64_t proposed_at_ms) {
  const std::uint8_t regions = region_count(membership, founding);
  if (reformation.voters().empty()) return fail(Code::kInvalid, "a group has at least one voter");
  if (knows(membership, reformation.id())) return Changed{membership.epoch(), true};
  membership.set_epoch(membership.epoch() + 1);
  *membership.add_reformations() = reformation;
  membership.clear_replicas();  // they were wanted in groups that are no more
  RegionSet left = 0;
  for (const auto voter : reformation.voters()) left |= region_bit(region_of(NodeId{voter}));
  for (std::uint8_t r = 1; r <= regions; ++r) {
    // Whoever was removed stays so, also where it has taken part in this by mistake.
    if (((left | witnesses_of(membership)) & region_bit(RegionId{r})) != 0 ||
        member_of(membership, RegionId{r}).state() == v1::REMOVED)
      continue;
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

Result<Changed> change(v1::Membership& membership, const v1::ChangeReplicas& wanted, std::uint8_t founding,
                       std::int64_t proposed_at_ms) {
  const std::uint8_t regions = region_count(membership, founding);
  const v1::Replicas& present = membership.replicas();
  if (!wanted.request_id().empty() && present.request_id() == wanted.request_id())
    return Changed{present.epoch(), true};
  if (wanted.expected_epoch() != membership.epoch())
    return fail(Code::kConflict,
                "the membership has changed meanwhile: its epoch is " + std::to_string(membership.epoch()));
  if (wanted.nodes().empty()) return fail(Code::kInvalid, "a group has at least one voter");
  EC_TRY(regions_with_voters(membership, wanted.nodes(), regions));
  membership.set_epoch(membership.epoch() + 1);
  want(membership, wanted, proposed_at_ms);
  membership.mutable_replicas()->set_request_id(wanted.request_id());
  return Changed{membership.epoch(), false};
}

std::vector<NodeId> wanted_voters(const v1::Membership& membership) {
  std::vector<NodeId> nodes;
  for (const auto& replica : membership.replicas().nodes()) nodes.push_back(NodeId{replica.node()});
  return nodes;
}

Result<Changed> change(v1::Membership& membership, const v1::FoundRegion& wanted, std::uint8_t founding,
                       std::int64_t proposed_at_ms) {
  const std::uint8_t regions = region_count(membership, founding);
  for (const v1::Founding& known : membership.foundings()) {
    if (!wanted.request_id().empty() && known.request_id() == wanted.request_id()) return Changed{known.epoch(), true};
    if (known.name() == wanted.name())
      return fail(Code::kConflict, "region " + wanted.name() + " is one of the cluster's already");
  }
  if (wanted.expected_epoch() != membership.epoch())
    return fail(Code::kConflict,
                "the membership has changed meanwhile: its epoch is " + std::to_string(membership.epoch()));
  if (wanted.region() != regions + 1u || wanted.region() > kMostRegions)
    return fail(Code::kConflict, "the cluster has " + std::to_string(regions) + " regions: the next one is number " +
                                     std::to_string(regions + 1) + ", and " + std::to_string(kMostRegions) +
                                     " is the last");
  if (wanted.name().empty()) return fail(Code::kInvalid, "a region has a name");
  std::uint64_t last = 0;
  for (const std::uint64_t node : wanted.voters()) {
    if (!is_node(node, regions) || node <= last)
      return fail(Code::kInvalid, "the voters must be nodes of the regions that there are, ascending, each once");
    last = node;
  }
  const std::vector<NodeId> all = wanted_voters(membership);
  std::vector<NodeId> voters;
  for (const std::uint64_t node : wanted.voters()) voters.push_back(NodeId{node});
  if (voters.empty() || (!all.empty() && voters != all))
    return fail(Code::kConflict,
                "its home group begins with the voters of the other groups, when no change of them is under way");
  membership.set_epoch(membership.epoch() + 1);
  v1::Founding& added = *membership.add_foundings();
  added.set_region(wanted.region());
  added.set_name(wanted.name());
  *added.mutable_voters() = wanted.voters();
  added.set_lineage(wanted.lineage());
  added.set_by(wanted.by());
  added.set_reason(wanted.reason());
  added.set_since_ms(proposed_at_ms);
  added.set_epoch(membership.epoch());
  added.set_request_id(wanted.request_id());
  v1::RegionMember& member = *membership.add_members();
  member.set_region(wanted.region());
  member.set_state(v1::JOINING);
  member.set_by(wanted.by());
  member.set_reason(wanted.reason());
  member.set_since_ms(proposed_at_ms);
  member.set_epoch(membership.epoch());
  member.set_witness(wanted.witness());
  return Changed{membership.epoch(), false};
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

Result<v1::Membership> load_membership(const Kv& kv, RegionSet witnesses) {
  EC_ASSIGN(const auto bytes, kv.get(state_key(kGlobalGroup, membership_record())));
  if (!bytes) return first_membership(witnesses);
  v1::Membership membership;
  if (!membership.ParseFromString(*bytes)) return fail(Code::kCorrupt, "the membership record does not parse");
  return membership;
}

}  // namespace evercert::store
