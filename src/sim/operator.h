// SPDX-License-Identifier: Apache-2.0
// A person at the controls of membership: fences, drains, and puts back, through whichever node answers, until it is
// done or refused.
#pragma once

#include <map>

#include "sim/world.h"

namespace evercert::sim {

class Operator {
 public:
  // `random` is the operator's own.
  Operator(World& world, SeededRandom random) : world_(world), random_(random) {}
  // The region is to be in that state; with `lasting`, it serves again after that.
  void put(RegionId region, store::v1::RegionState state, std::optional<Duration> lasting);
  // The same, also when everything else has ended.
  void order(RegionId region, store::v1::RegionState state);
  // These nodes are to be the members.
  void want(const std::vector<NodeId>& members);
  // The next region is to be one of the cluster's, and then its nodes are to be members.
  void add(RegionId region);
  // It is to be one of the cluster's no more: it is fenced or drained, and then removed.
  void remove(RegionId region);
  void stop() { running_ = false; }

  // What was acknowledged and not taken back since: what the operator may rely on.
  const std::map<RegionId, store::v1::RegionState>& standing() const { return standing_; }
  // Nothing is under way.
  bool idle() const { return under_way_ == 0; }

 private:
  void attempt(const store::v1::Command& wanted);
  void again(const store::v1::Command& wanted);
  void with_the_regions_of_now(store::v1::ChangeReplicas& wanted) const;
  bool removed(RegionId region) const;
  void answered(const store::v1::Command& wanted, const store::v1::Command& command,
                Result<store::v1::Outcome> outcome);
  void done(const store::v1::ChangeMembership& wanted, std::uint64_t epoch);
  void done(const store::v1::ChangeReplicas& wanted, std::uint64_t epoch);
  void done(const store::v1::FoundRegion& wanted, std::uint64_t epoch);

  World& world_;
  SeededRandom random_;
  bool running_ = true;
  std::uint64_t last_request_ = 0;
  std::uint32_t under_way_ = 0;
  std::map<RegionId, store::v1::RegionState> standing_;
  std::map<RegionId, std::uint64_t> latest_;  // epoch of the last change that was acknowledged
  std::uint64_t latest_members_ = 0;          // the same of the members
};

}  // namespace evercert::sim
