// SPDX-License-Identifier: Apache-2.0
// Who the replicas are and how many of them decide. Pure arithmetic over the cluster file.
#pragma once

#include <algorithm>
#include <vector>

#include "base/ids.h"

namespace evercert::store {

// A set of regions, bit r for RegionId r (1..63).
using RegionSet = std::uint64_t;
constexpr RegionSet region_bit(RegionId region) { return RegionSet{1} << region.value; }
// Of a cluster, whatever is added to it: the first letter of ACME identifiers names a region.
inline constexpr std::uint8_t kMostRegions = 25;

// Of a set, those numbered up to `count`.
constexpr RegionSet first_regions(RegionSet set, std::uint8_t count) {
  return set & ((region_bit(RegionId{count}) << 1) - 1);
}

// Those that a cluster began with, or that a cluster file names.
struct RegionRoll {
  std::uint8_t count = 0;
  RegionSet witnesses = 0;
  friend bool operator==(const RegionRoll&, const RegionRoll&) = default;
};

struct Layout {
  std::vector<NodeId> nodes;  // all replicas, ascending; every node is a member of every group
  std::uint8_t regions = 0;   // RegionIds 1..regions, those that the cluster has by now
  RegionSet witnesses = 0;    // regions that vote and keep no records (docs/cycles/topology.md), for good

  std::size_t majority() const { return nodes.size() / 2 + 1; }
  std::size_t replicas_in(RegionId region) const {
    return static_cast<std::size_t>(
        std::count_if(nodes.begin(), nodes.end(), [&](NodeId n) { return region_of(n) == region; }));
  }
  std::size_t region_quorum(RegionId region) const { return replicas_in(region) / 2 + 1; }
  // So many replicas of the region have one in common with each of its quorums. Of an even number it is half: where two
  // are, each of them is in every quorum, and the loss of one stops nobody.
  std::size_t region_cover(RegionId region) const { return replicas_in(region) - region_quorum(region) + 1; }
  RegionSet all_regions() const {
    RegionSet set = 0;
    for (std::uint8_t r = 1; r <= regions; ++r) set |= region_bit(RegionId{r});
    return set;
  }
  bool is_witness(RegionId region) const { return (witnesses & region_bit(region)) != 0; }
  // Where a group's leader is at home: the first region that stores, for the global group and for a witness's own,
  // which stays empty.
  RegionId home(GroupId group) const {
    if (group.value != 0 && !is_witness(RegionId{static_cast<std::uint8_t>(group.value)}))
      return RegionId{static_cast<std::uint8_t>(group.value)};
    std::uint8_t first = 1;
    while (first < regions && is_witness(RegionId{first})) ++first;
    return RegionId{first};
  }
  bool contains(NodeId node) const { return std::binary_search(nodes.begin(), nodes.end(), node); }
  // Groups are 0 (global) and one per region.
  std::size_t groups() const { return regions + 1u; }
};

// The end of a log, ordered by Raft's vote rule (Ongaro, section 5.4.1): later term first, then longer.
struct Position {
  Term term;
  LogIndex index;
  friend constexpr auto operator<=>(const Position&, const Position&) = default;
};

}  // namespace evercert::store
