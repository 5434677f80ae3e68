// SPDX-License-Identifier: Apache-2.0
// Who serves: the membership record of the global group, its changes, and the floors that carry a fence into the home
// groups. Pure and deterministic, part of the state machine (catalog.h). See docs/cycles/membership.md, layer 3.
//
// A fence is decided in the global group, which raises the epoch, and carried out in each home group by a floor: from
// the entry that sets it, nothing is stored there that the fenced region's key signed under an earlier epoch. Whoever
// is admitted again signs under a later epoch, so floors never have to fall.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/kv/kv.h"
#include "store/layout.h"
#include "store/planted.h"
#include "store/proto/records.pb.h"

namespace evercert::store {

inline constexpr std::string_view kAttested = "attested";  // who fences when no operator does

std::string_view to_string(v1::RegionState state);

// The record of a cluster in which nothing has changed yet, and which began with these witnesses.
v1::Membership first_membership(RegionSet witnesses = 0);
// It votes and keeps no records, or will when it has joined, or did until it was removed.
bool is_witness(const v1::RegionMember& member);
RegionSet witnesses_of(const v1::Membership& membership);
// The region's entry, or that of a region which serves since the beginning.
v1::RegionMember member_of(const v1::Membership& membership, RegionId region);
// Its key is not used while it stands so: it is fenced, or was removed.
bool silenced(v1::RegionState state);
// Regions that serve (neither drained, nor fenced, nor joining, nor removed, nor witnesses).
RegionSet serving(const v1::Membership& membership, std::uint8_t regions);
// Regions of which a majority decides: one that is joining, or was removed, is not among them.
RegionSet counted(const v1::Membership& membership, std::uint8_t regions);
// How many regions must attest that one of `counting`, or one that joins them, is to be admitted: a majority of them,
// of which it is none itself. Where two count, the other alone: else a removal that leaves two regions would leave one
// that was fenced before outside for good.
std::size_t admitters_needed(RegionSet counting, RegionId region);
// How many regions the cluster has, of which `founding` since the beginning.
std::uint8_t region_count(const v1::Membership& membership, std::uint8_t founding);
// How an added region began; nullptr: it is one of the beginning, or there is none of that number.
const v1::Founding* founding_of(const v1::Membership& membership, RegionId region);

// In what follows `founding` is how many regions the cluster had in the beginning.
// Carries the change out on `membership`. The epoch of the change; `repeated` when it had been carried out before.
// kNotFound: no such region. kConflict: another epoch than expected, a state that the region has already, the last
// region that serves, an operator's fence that a leader would undo, attestations that are no majority, a region that
// was removed. To be removed, a region may not serve any more, and its nodes leave voters in two other regions; they
// are out of the wanted ones with the same epoch (kInvalid: the nodes that the change names are not those that are
// left).
struct Changed {
  std::uint64_t epoch = 0;
  bool repeated = false;
};
Result<Changed> change(v1::Membership& membership, const v1::ChangeMembership& wanted, std::uint8_t founding,
                       std::int64_t proposed_at_ms, Bug bug = Bug::kNone);

// Writes down that the groups were made anew, in an epoch of its own; regions that were left out are fenced by `by`.
// `repeated` when that id is known. kInvalid: it names no voter.
Result<Changed> record(v1::Membership& membership, const v1::Reformation& reformation, std::uint8_t founding,
                       std::int64_t proposed_at_ms);
bool knows(const v1::Membership& membership, const std::string& reformation);

// Which nodes are to vote, from now on. `repeated` as above. kInvalid: nobody, or a node that
// no region has. kConflict: another epoch than expected, the voters that are wanted already, a region that serves would
// lose its last node, a node of a region that was removed, witnesses would be a majority by themselves.
Result<Changed> change(v1::Membership& membership, const v1::ChangeReplicas& wanted, std::uint8_t founding,
                       std::int64_t proposed_at_ms);

// One more region, whose home group begins with that. `repeated` as above. kInvalid: voters that no region has, or a
// name that is none. kConflict: another epoch than expected, not the next number, a name that is taken, other voters
// than those that are wanted in all groups.
Result<Changed> change(v1::Membership& membership, const v1::FoundRegion& wanted, std::uint8_t founding,
                       std::int64_t proposed_at_ms);
// Who is to vote, ascending. Empty: whoever votes now.
std::vector<NodeId> wanted_voters(const v1::Membership& membership);

// What a refusal by a floor begins with. Nothing was stored: another region may do it.
inline constexpr std::string_view kFencedPrefix = "fenced: ";
bool refused_by_fence(const Error& error);
std::string below_floor(RegionId issuer, std::uint64_t epoch, std::uint64_t floor);

// The floors of all home groups of a replica, beside the state that holds them: each issuance looks here.
class EpochFloors {
 public:
  EpochFloors() : floors_(kMostRegions + 1u) {}
  std::uint64_t of(GroupId group, RegionId issuer) const {
    return group.value < floors_.size() ? floors_[group.value][issuer.value] : 0;
  }
  void raise(GroupId group, RegionId issuer, std::uint64_t epoch) {
    std::uint64_t& floor = floors_.at(group.value)[issuer.value];
    floor = std::max(floor, epoch);
  }
  // From the state, at the start and after a snapshot took the place of the group's records.
  Status load(GroupId group, const Kv& kv);

 private:
  std::vector<std::array<std::uint64_t, 256>> floors_;
};

// Of the global group, from the state; `witnesses` of a cluster in which nothing has changed yet.
Result<v1::Membership> load_membership(const Kv& kv, RegionSet witnesses = 0);

}  // namespace evercert::store
