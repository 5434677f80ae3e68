// SPDX-License-Identifier: Apache-2.0
// Who signs the CRLs of each region: the region itself, or its stand-in while it is fenced, and
// for good when it was removed. Pure, and part of the
// membership record, so that every replica decides it alike and every epoch has one answer.
//
// The answer is the *activation*: a region and the epoch since which it signs. It is a fencing token: the global group
// gives CRL numbers to the region of the present activation alone, and that epoch is carried into the home groups as a
// floor (membership.h), below which no CRL is stored. See docs/cycles/membership.md.
#pragma once

#include <string>

#include "base/ids.h"
#include "store/planted.h"
#include "store/proto/records.pb.h"

namespace evercert::store {

struct Activation {
  RegionId signer;          // 0: nobody
  std::uint64_t epoch = 0;  // since when; 0: since the beginning
  bool operator==(const Activation&) const = default;
};

// Who signs the CRLs of `issuer` in the epoch of this record.
Activation crl_activation(const v1::Membership& membership, RegionId issuer);

// After a change of who serves, in its epoch: gives every fenced or removed region a stand-in that serves (the next
// one, in the order of the configuration), and takes it from those that are not fenced. A stand-in that goes on serving
// stays.
void assign_stand_ins(v1::Membership& membership, std::uint8_t regions, Bug bug = Bug::kNone);

// What a region is told that would sign the CRLs of `issuer` without being who signs them; begins with kFencedPrefix.
std::string not_activated(RegionId issuer, RegionId signer, std::uint64_t epoch, const Activation& active);

// What the region's floors must reach: of its last fence, and of the last time that another became who signs its CRLs.
std::uint64_t floor_epoch(const v1::RegionMember& member);

}  // namespace evercert::store
