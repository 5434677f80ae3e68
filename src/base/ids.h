// SPDX-License-Identifier: Apache-2.0
// Strong types for the numbers that must never be mixed up.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace evercert {

template <class Tag, class Rep>
struct Id {
  Rep value{};
  constexpr Id() = default;
  constexpr explicit Id(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

// Position of a region in the cluster file, from 1. It is the first byte of serial numbers and the prefix of ACME
// identifiers, so it never changes for the life of a cluster. 0 is no region.
using RegionId = Id<struct RegionTag, std::uint8_t>;
// Raft identity of one replica. Never reused. region * 256 + zone, both from 1.
using NodeId = Id<struct NodeTag, std::uint64_t>;
// One Raft group: 0 is the global group, n is the home group of RegionId n.
using GroupId = Id<struct GroupTag, std::uint32_t>;
using Term = Id<struct TermTag, std::uint64_t>;
using LogIndex = Id<struct LogIndexTag, std::uint64_t>;
using Epoch = Id<struct EpochTag, std::uint64_t>;

inline constexpr GroupId kGlobalGroup{0};
constexpr GroupId home_group(RegionId region) { return GroupId{region.value}; }
constexpr NodeId node_id(RegionId region, std::uint8_t zone) { return NodeId{region.value * 256ull + zone}; }
constexpr RegionId region_of(NodeId node) { return RegionId{static_cast<std::uint8_t>(node.value / 256)}; }

}  // namespace evercert

template <class Tag, class Rep>
struct std::hash<evercert::Id<Tag, Rep>> {
  std::size_t operator()(const evercert::Id<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value); }
};
