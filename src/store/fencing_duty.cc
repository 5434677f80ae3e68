// SPDX-License-Identifier: Apache-2.0
#include "store/fencing_duty.h"

#include <algorithm>
#include <bit>

#include "store/standby_duty.h"

namespace evercert::store {
namespace {

constexpr Duration kPause = 1s;              // between two proposals of the same
constexpr std::uint32_t kMostDoublings = 3;  // of the time until a flapping region is admitted again

}  // namespace

Duration FencingDuty::readmit_after(const v1::RegionMember& member) const {
  const std::uint32_t fences = std::max(member.fences(), 1u);
  return timing_.readmit * (1 << std::min(fences - 1, kMostDoublings));
}

std::uint64_t FencingDuty::due_floor(const v1::RegionMember& member) const {
  return bug_ == Bug::kNoFloorAtReadmission ? member.fence_epoch() : floor_epoch(member);
}

std::vector<GroupId> FencingDuty::missing_floors(const v1::RegionMember& member, const EpochFloors& floors) const {
  const RegionId region{static_cast<std::uint8_t>(member.region())};
  const std::uint64_t epoch = due_floor(member);
  std::vector<GroupId> missing;
  for (std::uint32_t g = 1; g < layout_.groups(); ++g) {
    if (bug_ == Bug::kFloorAtHomeOnly && g != region.value) continue;
    if (floors.of(GroupId{g}, region) < epoch) missing.push_back(GroupId{g});
  }
  return missing;
}

bool FencingDuty::pause_over(GroupId group, RegionId region, Instant now) {
  Instant& next = next_[{group, region}];
  if (next > now) return false;
  next = now + kPause;
  return true;
}

// The change that attestations ask for.
std::optional<v1::ChangeMembership> FencingDuty::wanted(const v1::Membership& membership,
                                                        const v1::RegionMember& member, const EpochFloors& floors,
                                                        const AttestationBook& book, Instant now) const {
  const RegionId region{static_cast<std::uint8_t>(member.region())};
  const Epoch epoch{membership.epoch()};
  const RegionSet counting = counted(membership, layout_.regions);
  const std::size_t regions = static_cast<std::size_t>(std::popcount(counting)), majority = regions / 2 + 1;
  v1::ChangeMembership change;
  change.set_expected_epoch(membership.epoch());
  change.set_region(region.value);
  change.set_by(std::string(kAttested));
  change.set_attested(true);
  const bool comes_back = member.state() == v1::REMOVED && bug_ == Bug::kRemovedComesBack;
  if ((member.state() == v1::REMOVED && !comes_back) || member.state() == v1::WITNESS) return std::nullopt;
  if (member.state() == v1::FENCED || member.state() == v1::JOINING || comes_back) {
    const bool may =
        member.state() == v1::JOINING || member.attested() || bug_ == Bug::kUndoOperatorsFence || comes_back;
    const RegionSet held = book.held(region, readmit_after(member), epoch, now) & counting;
    if (!may || bug_ == Bug::kNeverReadmit ||
        static_cast<std::size_t>(std::popcount(held)) < admitters_needed(counting, region) ||
        !missing_floors(member, floors).empty())
      return std::nullopt;
    change.set_state(is_witness(member) ? v1::WITNESS : v1::SERVING);
    change.set_reason("heard" + std::string(member.state() == v1::JOINING ? "" : " again") +
                      " by a majority of regions and caught up in all groups");
    change.set_attesters(held);
    return change;
  }
  RegionSet silent = book.silent(region, timing_.silence, epoch, now) & counting;
  if (bug_ == Bug::kFenceOnOwnWord && (silent & region_bit(own_)) != 0) silent = ~RegionSet{0};
  if (static_cast<std::size_t>(std::popcount(silent)) < majority) return std::nullopt;
  // The last one that serves is not fenced, so it is not proposed either.
  if ((serving(membership, layout_.regions) & ~region_bit(region)) == 0) return std::nullopt;
  change.set_state(v1::FENCED);
  change.set_reason("silent: " + std::to_string(std::popcount(silent)) + " of " + std::to_string(regions) +
                    " regions attest that their promises to it have lapsed");
  change.set_attesters(silent);
  return change;
}

std::vector<FencingDuty::Proposal> FencingDuty::due(const v1::Membership& membership, const EpochFloors& floors,
                                                    const AttestationBook& book, Instant now) {
  std::vector<Proposal> proposals;
  for (std::uint8_t r = 1; r <= layout_.regions; ++r) {
    const RegionId region{r};
    const v1::RegionMember member = member_of(membership, region);
    for (const GroupId group : missing_floors(member, floors)) {
      if (!pause_over(group, region, now)) continue;
      Proposal& proposal = proposals.emplace_back(Proposal{group, {}});
      proposal.command.mutable_set_epoch_floor()->set_region(r);
      proposal.command.mutable_set_epoch_floor()->set_epoch(due_floor(member));
    }
    auto change = wanted(membership, member, floors, book, now);
    if (!change || !pause_over(kGlobalGroup, region, now)) continue;
    Proposal& proposal = proposals.emplace_back(Proposal{kGlobalGroup, {}});
    *proposal.command.mutable_change_membership() = std::move(*change);
  }
  return proposals;
}

}  // namespace evercert::store
