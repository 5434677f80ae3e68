// SPDX-License-Identifier: Apache-2.0
// From what nodes say to what is wrong. One node may be wrong, cut off, or lie: what takes traffic away from a region
// or a node is confirmed when two regions say so, or the store's own majority has fenced it. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "recovery/failover/model.h"
#include "recovery/failover/planted.h"

namespace evercert::recovery {

// What a controller knows, at one moment, of what is fresh enough to be true.
class Sight {
 public:
  Sight(const Cluster& of, const Picture& seen, const Policy& by, Instant at, Bug planted = Bug::kNone)
      : cluster(of), picture(seen), policy(by), now(at), bug(planted) {}

  const Cluster& cluster;
  const Picture& picture;
  const Policy& policy;
  const Instant now;
  const Bug bug;

  // nullptr: nothing, or nothing new enough.
  const Observation* of(NodeId node) const;
  std::vector<const Observation*> of(RegionId region) const;
  std::vector<const Observation*> all() const;
  bool heard(RegionId region) const { return !of(region).empty(); }
  // Why nothing can be decided now; empty: it can.
  std::string blind() const;

  // Regions that say that this one is out, or well.
  std::set<RegionId> say_out(RegionId region) const;
  std::set<RegionId> say_well(RegionId region) const;
  bool fenced_by_majority(RegionId region) const;
  bool confirmed_out(RegionId region) const;
  // That, and those who say so see it ill now: a verdict outlasts its reason for a while, so that it does not flap.
  bool out_and_ill(RegionId region) const;
  bool well(RegionId region) const;
  // Two regions' nodes, all that can see it, give the node no point; and by whose words.
  bool gives_no_point(NodeId node, std::size_t& words) const;
  // As an incident of a zone or a component would say.
  bool ill(NodeId node) const;
  // Another node of its region that answers, is not ill and gets traffic.
  bool has_stand_in(NodeId node) const;
  Member member(RegionId region) const;
  // Others than `region` that take traffic and are not out.
  int others_serving(RegionId region) const;
  // What the others would be used to, at the load of this moment, without the region; 0: nobody measures it.
  double utilisation_without(RegionId region) const;
  std::string name(RegionId region) const;
  std::string name(NodeId node) const;  // "eu-central-1/2"
  std::size_t needed() const { return bug == Bug::kOneWord ? 1 : 2; }
};

struct Finding {
  Kind kind = Kind::kRegion;
  std::string subject;
  RegionId region;
  NodeId node;
  bool alive = false;  // of a region: it answers
  std::string evidence;
  Duration before{0};  // for so long it had been so, by the evidence
};

// What is confirmed now. A zone or component of a region that is out is not told of as well.
std::vector<Finding> detect(const Sight& sight);

}  // namespace evercert::recovery
