// SPDX-License-Identifier: Apache-2.0
// What the leader of the global group does about membership: proposes fences and re-admissions that a majority of
// regions attests, and carries every fence into the home groups. All that it needs to know is in the state that each
// replica has, so a new leader goes on where the last one stopped. Pure: commands go out as values.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "store/attestation.h"
#include "store/membership.h"

namespace evercert::store {

class FencingDuty {
 public:
  FencingDuty(const Layout& layout, RegionId own, FenceTiming timing, Bug bug = Bug::kNone)
      : layout_(layout), own_(own), timing_(timing), bug_(bug) {}

  // What is to be proposed now, and where. Each is idempotent and comes again in a while unless the state shows it
  // done.
  struct Proposal {
    GroupId group;
    v1::Command command;
  };
  std::vector<Proposal> due(const v1::Membership& membership, const EpochFloors& floors, const AttestationBook& book,
                            Instant now);

  // Home groups in which the region's last fence, or the last change of who signs its CRLs, is not yet carried out.
  std::vector<GroupId> missing_floors(const v1::RegionMember& member, const EpochFloors& floors) const;
  // How long promises must stand before the region is admitted again: longer after each of several fences.
  Duration readmit_after(const v1::RegionMember& member) const;

 private:
  std::uint64_t due_floor(const v1::RegionMember& member) const;
  std::optional<v1::ChangeMembership> wanted(const v1::Membership& membership, const v1::RegionMember& member,
                                             const EpochFloors& floors, const AttestationBook& book, Instant now) const;
  bool pause_over(GroupId group, RegionId region, Instant now);

  const Layout& layout_;
  RegionId own_;
  FenceTiming timing_;
  Bug bug_;
  std::map<std::pair<GroupId, RegionId>, Instant> next_;
};

}  // namespace evercert::store
