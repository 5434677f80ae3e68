// SPDX-License-Identifier: Apache-2.0
// The members of one Raft group: who votes and who only follows (Ongaro, "Consensus: Bridging Theory and Practice",
// chapter 4: joint consensus, section 4.2.1: learners). A change of voters goes through a joint configuration, in which
// both the old and the new voters decide. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/layout.h"
#include "store/raft/raft_node.h"

namespace evercert::store {

// In the layouts: `nodes` are voters.
struct Configuration {
  std::vector<Layout> halves;  // one, or while a change is under way two: the new voters, then the old
  std::vector<NodeId> learners;
  std::string lineage;  // of which reformation (reform.h); empty: of none

  bool joint() const { return halves.size() > 1; }
  // They vote, and nobody else is a member: no change is half done.
  bool consists_of(const std::vector<NodeId>& nodes) const { return !joint() && learners.empty() && voters() == nodes; }
  const std::vector<NodeId>& voters() const { return halves.front().nodes; }
  bool votes(NodeId node) const;  // in any half
  bool votes_everywhere(NodeId node) const;
  bool contains(NodeId node) const { return votes(node) || learns(node); }
  bool learns(NodeId node) const;
  std::vector<NodeId> members() const;  // ascending
  // Reads of this region need no neighbour's word: whatever its quorum has, `node` has.
  bool alone_in_region(NodeId node) const;
};

Configuration configuration_of(const Layout& voters, std::string lineage = {});
Members members_of(const Configuration& configuration);
Configuration configuration_of(Members members, std::uint8_t regions, std::string lineage);

// What a change makes of it, by the core's rules as far as ours use them. Of another lineage: nothing.
Configuration after(const Configuration& configuration, const MembersChange& change);

// The record in the state of a group. kCorrupt.
std::string encode(const Configuration& configuration);
Result<Configuration> decode_configuration(std::string_view bytes, std::uint8_t regions);

// For a person: "voters 257 513 769, learners 258".
std::string to_text(const Configuration& configuration);

}  // namespace evercert::store
