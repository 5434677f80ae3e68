// SPDX-License-Identifier: Apache-2.0
#include "store/standby_duty.h"

#include <algorithm>

#include "store/membership.h"

namespace evercert::store {
namespace {

RegionId region_in(std::uint32_t number) { return RegionId{static_cast<std::uint8_t>(number)}; }

// The next region that serves; 0: none does.
std::uint32_t next_serving(RegionSet serving, std::uint32_t after, std::uint8_t regions) {
  for (std::uint32_t step = 1; step < regions; ++step) {
    const std::uint32_t candidate = (after - 1 + step) % regions + 1;
    if ((serving & region_bit(region_in(candidate))) != 0) return candidate;
  }
  return 0;
}

}  // namespace

Activation crl_activation(const v1::Membership& membership, RegionId issuer) {
  const v1::RegionMember member = member_of(membership, issuer);
  if (member.stand_in() != 0) return {region_in(member.stand_in()), floor_epoch(member)};
  // A witness has no issuing key.
  return {silenced(member.state()) || is_witness(member) ? RegionId{0} : issuer, floor_epoch(member)};
}

void assign_stand_ins(v1::Membership& membership, std::uint8_t regions, Bug bug) {
  const RegionSet able = serving(membership, regions);
  for (auto& member : *membership.mutable_members()) {
    std::uint32_t wanted = 0;
    if (is_witness(member)) continue;
    if (silenced(member.state())) {
      const bool goes_on = member.stand_in() != 0 &&
                           ((able & region_bit(region_in(member.stand_in()))) != 0 || bug == Bug::kStandInStays);
      wanted = goes_on ? member.stand_in() : next_serving(able, member.region(), regions);
    } else if (bug == Bug::kStandInGoesOn) {
      wanted = member.stand_in();
    }
    // Fenced anew, it has a stand-in of a new activation, also when that is the same region as before.
    const bool begins = silenced(member.state()) && member.fence_epoch() == membership.epoch();
    if (wanted == member.stand_in() && !begins) continue;
    member.set_stand_in(wanted);
    member.set_crl_epoch(membership.epoch());
  }
}

std::string not_activated(RegionId issuer, RegionId signer, std::uint64_t epoch, const Activation& active) {
  const std::string by = active.signer.value == 0 ? "nobody" : "region " + std::to_string(active.signer.value);
  return std::string(kFencedPrefix) + "the CRLs of region " + std::to_string(issuer.value) + " are signed by " + by +
         " since epoch " + std::to_string(active.epoch) + "; region " + std::to_string(signer.value) +
         " asks in epoch " + std::to_string(epoch);
}

std::uint64_t floor_epoch(const v1::RegionMember& member) { return std::max(member.fence_epoch(), member.crl_epoch()); }

}  // namespace evercert::store
