// SPDX-License-Identifier: Apache-2.0
#include "sim/membership_checker.h"

#include <algorithm>
#include <bit>

#include "store/keys.h"
#include "store/membership.h"

namespace evercert::sim {
namespace {

using store::v1::Membership;
using store::v1::RegionMember;

// A word counts for three rounds of at most 0.3 s after it has arrived, which may take as long as a late batch does.
constexpr Duration kWordTakes = 900ms + 4s;

std::string name(RegionId region) { return "region " + std::to_string(region.value); }
RegionId region_in(std::uint32_t number) { return RegionId{static_cast<std::uint8_t>(number)}; }

}  // namespace

void MembershipChecker::ticked(NodeId node) {
  const store::RegionSet silent = world_.engine(node)->attested_silent();
  for (std::uint8_t r = 1; silent != 0 && r <= store::kMostRegions; ++r) {
    if ((silent & store::region_bit(RegionId{r})) != 0) attested_[{node, RegionId{r}}].push_back(world_.now());
  }
}

void MembershipChecker::worked(NodeId node) {
  auto view = world_.engine(node)->membership().view();
  auto& seen = seen_[node];
  if (seen == view) return;
  if (seen != nullptr && view->record.epoch() < seen->record.epoch())
    return violation_("epoch: node " + node_name(node) + " went back to epoch " + std::to_string(view->record.epoch()));
  // Before it has heard from anybody, a node takes its file's witnesses for those of the beginning.
  if (view->record.epoch() == 1 && world_.engine(node)->recovering()) return;
  seen = std::move(view);
  check_record(node, seen->record);
}

void MembershipChecker::check_record(NodeId node, const Membership& record) {
  const auto [known, first] = records_.try_emplace(record.epoch(), record.SerializeAsString());
  if (!first) {
    if (known->second != record.SerializeAsString())
      violation_("epoch: node " + node_name(node) + " shows another membership in epoch " +
                 std::to_string(record.epoch()));
    return;
  }
  for (const RegionMember& member : record.members()) {
    if (member.epoch() == record.epoch()) check_change(record, member);
  }
  check_stand_ins(record);
  check_removals(record);
}

// Whoever was removed in an epoch is so in every later one, and has no node that is to vote.
void MembershipChecker::check_removals(const Membership& record) {
  for (const RegionMember& member : record.members()) {
    if (member.state() != store::v1::REMOVED) continue;
    removed_.try_emplace(region_in(member.region()), member.epoch());
    for (const NodeId node : store::wanted_voters(record)) {
      if (region_of(node).value == member.region())
        violation_("removal: node " + node_name(node) + " is to vote in epoch " + std::to_string(record.epoch()) +
                   ", of a region that was removed");
    }
  }
  for (const auto& [region, epoch] : removed_) {
    const RegionMember member = store::member_of(record, region);
    if (record.epoch() >= epoch && (member.state() != store::v1::REMOVED || member.epoch() != epoch))
      violation_("removal: " + name(region) + " was removed in epoch " + std::to_string(epoch) + " and is " +
                 std::string(store::to_string(member.state())) + " in epoch " + std::to_string(record.epoch()));
  }
}

// Only for a fenced region another one stands in, and that one serves. A witness has no key that anybody could use.
void MembershipChecker::check_stand_ins(const Membership& record) {
  for (const RegionMember& member : record.members()) {
    const RegionId region = region_in(member.region()), signer = region_in(member.stand_in());
    const std::string epoch = " in epoch " + std::to_string(record.epoch());
    if (!store::silenced(member.state()) || store::is_witness(member)) {
      if (signer.value != 0)
        violation_("CRLs: " + name(signer) + " stands in for " + name(region) + epoch + ", which is not fenced");
    } else if (signer.value == 0 || store::member_of(record, signer).state() != store::v1::SERVING) {
      violation_("CRLs: " + name(region) + " is " + std::string(store::to_string(member.state())) + epoch + " and " +
                 (signer.value == 0 ? "nobody" : name(signer) + ", which does not serve,") + " stands in for it");
    }
  }
}

RegionId MembershipChecker::crl_signer(RegionId issuer, std::uint64_t epoch) const {
  const auto shown = records_.find(epoch);
  Membership record;
  if (shown == records_.end() || !record.ParseFromString(shown->second)) return RegionId{0};
  const RegionMember member = store::member_of(record, issuer);
  return store::silenced(member.state()) ? region_in(member.stand_in()) : issuer;
}

// Numbers follow the order in which the right to sign went from hand to hand.
void MembershipChecker::crl_number(RegionId issuer, RegionId signer, std::uint64_t epoch, std::uint64_t number) {
  auto& numbers = crl_numbers_[issuer];
  const std::string what = "CRL number " + std::to_string(number) + " of " + name(issuer);
  if (!numbers.try_emplace(number, Taken{signer, epoch}).second) return violation_(what + " was given twice");
  for (const auto& [other, taken] : numbers) {
    if (taken.signer == signer) continue;
    if (other < number ? taken.epoch < epoch : taken.epoch > epoch) continue;
    violation_(what + " was given to " + name(signer) + " in epoch " + std::to_string(epoch) + ", number " +
               std::to_string(other) + " to " + name(taken.signer) + " in epoch " + std::to_string(taken.epoch));
  }
}

void MembershipChecker::applied_crl(GroupId group, const store::v1::Crl& crl) {
  const RegionId issuer = region_in(crl.issuer_region()), signer = region_in(crl.signer_region());
  if (crl_signer(issuer, crl.epoch()) != signer)
    return violation_("CRLs: " + name(signer) + " signed list " + std::to_string(crl.number()) + " of " + name(issuer) +
                      " in epoch " + std::to_string(crl.epoch()) + ", in which it was not for it to do so");
  const auto floor = floors_.find({group, issuer});
  if (floor != floors_.end() && crl.epoch() < floor->second) return;
  published_[issuer] = std::max(published_[issuer], crl.number());
}

void MembershipChecker::check_crls() {
  for (const NodeId node : world_.members()) {
    if (world_.is_witness(node)) continue;
    for (const auto& [issuer, number] : published_) {
      const auto bytes = world_.state(node).get(store::state_key(home_group(issuer), store::crl_record(issuer)));
      store::v1::Crl stored;
      if (bytes && *bytes && stored.ParseFromString(**bytes) && stored.number() == number) continue;
      return violation_("CRLs: node " + node_name(node) + " has list " + std::to_string(stored.number()) + " of " +
                        name(issuer) + " and not the last that was signed in time, " + std::to_string(number));
    }
  }
}

// The change that made this epoch.
void MembershipChecker::check_change(const Membership& record, const RegionMember& member) {
  if (!member.attested()) return;
  const RegionId region = region_in(member.region());
  const std::string epoch = " in epoch " + std::to_string(record.epoch());
  if (member.state() == store::v1::FENCED) {
    // Held up on its way, the proposal may be carried out when nobody would make it any more: what counts is when it
    // was made. The world's wall clock begins with it.
    const Instant proposed{(member.since_ms() - world_.wall_start().ms) * 1000};
    std::map<RegionId, std::size_t> nodes;
    for (const auto& [who, times] : attested_) {
      const bool said = std::any_of(times.begin(), times.end(),
                                    [&](Instant at) { return at <= proposed + 1ms && proposed - at < kWordTakes; });
      if (who.second == region && said) ++nodes[region_of(who.first)];
    }
    std::size_t regions = 0;
    const store::RegionSet counting =
        store::counted(record, store::region_count(record, world_.options().regions)) | store::region_bit(region);
    for (const auto& [attesting, count] : nodes) {
      // Where members change, what is a quorum changes too: at the least one of them.
      const bool moving = world_.options().spares > 0 || attesting.value > world_.options().regions;
      const std::size_t quorum = moving ? 1 : world_.layout().region_quorum(attesting);
      if (attesting != region && (counting & store::region_bit(attesting)) != 0 && count >= quorum) ++regions;
    }
    if (regions <= static_cast<std::size_t>(std::popcount(counting)) / 2)
      violation_("fence: " + name(region) + " was fenced" + epoch + " and only " + std::to_string(regions) +
                 " regions had attested its silence");
    return;
  }
  const auto before = records_.find(record.epoch() - 1);
  Membership earlier;
  if (before == records_.end() || !earlier.ParseFromString(before->second)) return;  // passed over by every node
  const RegionMember was = store::member_of(earlier, region);
  if (was.state() == store::v1::JOINING) return;
  if (was.state() != store::v1::FENCED || !was.attested())
    violation_("fence: " + name(region) + " was admitted" + epoch + " without a person, and a person had fenced it");
}

void MembershipChecker::applied_first(GroupId group, const store::v1::Command& command) {
  if (command.has_set_epoch_floor()) {
    std::uint64_t& floor = floors_[{group, region_in(command.set_epoch_floor().region())}];
    floor = std::max(floor, command.set_epoch_floor().epoch());
  }
  if (command.has_put_crl()) applied_crl(group, command.put_crl().crl());
  if (!command.has_issue()) return;
  const auto& certificate = command.issue().certificate();
  const auto floor = floors_.find({group, region_in(certificate.issuer_region())});
  if (floor == floors_.end() || certificate.epoch() >= floor->second) {
    stored_.insert(certificate.serial());
  } else if (!stored_.contains(certificate.serial())) {
    too_late_[certificate.serial()] = certificate.epoch();
  }
}

std::optional<std::string> MembershipChecker::unfinished(const Operator* person) const {
  for (const NodeId node : world_.members()) {
    if (!world_.up(node)) return "node " + node_name(node) + " is down";
    const auto view = world_.engine(node)->membership().view();
    for (std::uint8_t r = 1; r <= world_.layout().regions; ++r) {
      const RegionId region{r};
      const RegionMember member = store::member_of(view->record, region);
      auto due = world_.layout().is_witness(region) ? store::v1::WITNESS : store::v1::SERVING;
      if (person != nullptr && person->standing().contains(region)) due = person->standing().at(region);
      if (member.state() != due)
        return name(region) + " is " + std::string(store::to_string(member.state())) + " and should be " +
               std::string(store::to_string(due));
      for (std::uint32_t g = 1; g < world_.layout().groups() && !world_.is_witness(node); ++g) {
        const auto stored = world_.state(node).get(store::state_key(GroupId{g}, store::epoch_floor_record(region)));
        if (!stored) continue;  // it has rotted, and nobody has come upon it yet
        const std::uint64_t floor = *stored ? std::stoull(**stored) : 0;
        std::uint64_t needed = std::max(member.fence_epoch(), member.crl_epoch());
        if (member.state() == store::v1::REMOVED) needed = std::max(needed, member.epoch());
        if (floor < needed)
          return "the change of " + name(region) + " in epoch " + std::to_string(needed) +
                 " is not carried out in group " + std::to_string(g);
      }
    }
  }
  return std::nullopt;
}

void MembershipChecker::check_end(const Operator* person) {
  if (const auto what = unfinished(person)) return violation_("membership: " + *what);
  check_crls();
  for (const auto& [serial, epoch] : too_late_) {
    if (stored_.contains(serial)) continue;
    const auto group = store::home_of_serial(serial, world_.layout().regions);
    for (const NodeId node : world_.members()) {
      const auto bytes = world_.state(node).get(store::state_key(*group, store::certificate_record(serial)));
      if (bytes && *bytes && !(*bytes)->empty())
        return violation_("fence: node " + node_name(node) + " has " + serial_name(serial) +
                          ", signed by a fenced region in epoch " + std::to_string(epoch));
    }
  }
}

}  // namespace evercert::sim
