// SPDX-License-Identifier: Apache-2.0
// All of membership on one node: the record and the floors as the state has them, what this node attests, what it is
// told as leader of the global group. The engine drives it and carries its words. See docs/cycles/membership.md.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "store/catalog.h"
#include "store/fencing_duty.h"
#include "store/membership_board.h"
#include "store/proto/peer.pb.h"

namespace evercert::store {

class MembershipKeeper {
 public:
  // The layout and the state outlive it.
  MembershipKeeper(const Layout& layout, const Kv& kv, NodeId self, FenceTiming timing, Duration round, Instant now,
                   Bug bug = Bug::kNone);

  // What the state holds of `group`: at the start, and after a snapshot took the place of its records.
  Status load(GroupId group);
  void applied(const AppliedChanges& changes);
  // Who the members of the groups are by now.
  void members_moved(std::vector<Configuration> groups);
  // The regions of the beginning.
  void set_founding(RegionRoll founding);
  // The regions of a node's cluster file.
  void names(NodeId node, RegionRoll regions);
  EpochFloors& floors() { return floors_; }

  // What this node has to say of its promises, in a round; nullopt: nothing.
  std::optional<v1::Attestation> attest(RegionSet in_some, RegionSet in_all, Instant now);
  void forget_promises(Instant now) { watch_.forget(now); }
  void told(NodeId from, const v1::Attestation& attestation, Instant now);
  // The record as another has it, in which this region was removed: what this node shows from then on, and so never
  // signs.
  void told_of_removal(v1::Membership record);
  void peer_started(NodeId node) { book_.forget(node); }
  bool waits_for_admission(RegionId region) const {
    const v1::RegionState state = member_of(record_, region).state();
    return state == v1::FENCED || state == v1::JOINING;
  }
  // This replica is of groups that were made anew: the record is to say so.
  void set_reformation(v1::Reformation reformation) { reformation_ = std::move(reformation); }
  // The reformation that these groups follow on; empty: none.
  std::string lineage() const { return reformation_ ? reformation_->id() : std::string(); }
  // What the leader of the global group proposes.
  std::vector<FencingDuty::Proposal> due(Instant now);

  // The global group's lease of this region ends then.
  void leased_until(Instant until);
  bool serves(RegionId region) const;
  bool removed(RegionId region) const;
  RegionSet serving_regions() const { return serving(record_, layout_.regions); }
  const v1::Membership& record() const { return record_; }
  const MembershipBoard& board() const { return board_; }
  // Regions whose silence this node attested in its last round.
  RegionSet attested_silent() const { return attested_silent_; }

 private:
  void publish();

  const Layout& layout_;
  const Kv& kv_;
  FenceTiming timing_;
  Bug bug_;
  v1::Membership record_;
  std::vector<Configuration> groups_;
  std::map<NodeId, RegionRoll> named_;
  RegionRoll founding_;
  EpochFloors floors_;
  PromiseWatch watch_;
  AttestationBook book_;
  FencingDuty duty_;
  MembershipBoard board_;
  std::optional<v1::Reformation> reformation_;
  std::optional<v1::Membership> told_;  // of a later epoch than this node's own state
  RegionId own_;
  Instant fresh_until_;
  RegionSet attested_silent_ = 0;
  bool said_something_ = false;
};

}  // namespace evercert::store
