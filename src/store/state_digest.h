// SPDX-License-Identifier: Apache-2.0
// What the state machine of a group has done, as a chain: each entry adds what it changed. Replicas that applied the
// same entries have the same digest, or one of them computed something else: its memory or processor failed, its state
// machine is another, there is a bug. (What a disk does to a state, its checksums show.) Nodes tell each other their
// digests all the time. Who finds that a majority of the voters has another one stops and never trusts that state
// again; a region that was fenced is admitted again when its nodes have shown theirs (docs/cycles/membership.md).
// A state that came as a snapshot repeats what its giver computed: until somebody else has shown the same one, it says
// no more than its giver does, and both are one voice.
//
// Pure: digests, claims and a clock go in.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "store/configuration.h"
#include "store/planted.h"

namespace evercert::store {

// In a node's log, durably: why its state is never trusted again; and what to do, after it.
inline constexpr std::string_view kDivergedKey = "diverged";
// In a node's log, group by group: whose state it took over, while that is not confirmed.
std::string copied_key(GroupId group);
inline constexpr std::string_view kReplaceState =
    ": this node must not be believed. Move its data folder away and start it again: it is rebuilt from its peers. "
    "Look "
    "for the reason in its memory and in its version before";

// Of one group. A record of its state, so a snapshot carries it.
struct StateDigest {
  LogIndex since;     // what was changed up to there is not in it: the state is of a version that kept no digest
  std::string chain;  // 32 bytes; empty: nothing was changed since

  // `changes`: what the entry at `index` put and removed, in order (Transaction::journal).
  void add(LogIndex index, std::string_view changes);
  std::uint64_t short_form() const;
  std::string encode() const;
  static Result<StateDigest> decode(std::string_view bytes);  // kCorrupt
};

// A snapshot's giver, and the entry that it reached.
struct StateCopy {
  NodeId from;
  LogIndex index;

  std::string encode() const;
  static Result<StateCopy> decode(std::string_view bytes);  // kCorrupt
};

// What replicas say of their states, and what follows.
class StateAudit {
 public:
  struct Claim {
    LogIndex since, index;  // as StateDigest; after the entry at `index`
    std::uint64_t digest = 0;
    NodeId copied_from;  // and not confirmed; 0: nobody's copy
  };
  // `valid`: what was shown counts for so long.
  StateAudit(NodeId self, Duration valid, Bug bug = Bug::kNone) : self_(self), valid_(valid), bug_(bug) {}

  // The group's state here: at the start, and when a snapshot takes its place. `copied`: whose it was, if nobody else
  // has confirmed it yet.
  void begin(GroupId group, const StateDigest& state, LogIndex index, std::optional<StateCopy> copied = {});
  // Here the entry at `index` has been applied, the one after the last.
  void applied(GroupId group, LogIndex index, std::uint64_t digest, Instant now);
  // To be told to all others: of the newest entry, and of one that others are likely to speak of too.
  std::vector<Claim> claims(GroupId group) const;
  void told(NodeId from, GroupId group, const Claim& claim, Instant now);
  void forget(NodeId from);  // it has started anew

  // The node has shown, not long ago, that its state of the group is the one that this replica has. True as well of
  // groups of which this replica has none itself.
  bool shown(GroupId group, NodeId node, Instant now) const;
  // Where a majority of the voters (of each half of a change) have one and the same other digest than this replica.
  // A replica and those that hold a copy of its state are one voter.
  std::optional<LogIndex> minority(GroupId group, const Configuration& voters) const;
  // When every other voter has shown what was taken over, nobody is left who could know better: it is confirmed.
  void confirm_if_unanimous(GroupId group, const Configuration& voters);
  // Whose state this replica has taken over, if nobody else has shown the same one since. 0: nobody's.
  NodeId copied_from(GroupId group) const;
  // Another node's state differs here from this one, as far as is known.
  std::optional<LogIndex> differs(GroupId group, NodeId node) const;

 private:
  struct Peer {
    std::deque<Claim> said;        // the newest last
    std::optional<Claim> waiting;  // of an entry that is not applied here yet
    std::optional<LogIndex> differs;
    LogIndex agreed;  // up to there its state is known to be as this one
    Instant shown{0};
    NodeId copied_from;
  };
  struct Own {
    LogIndex since, newest;
    std::deque<std::uint64_t> digests;  // up to `newest`
    std::map<NodeId, Peer> peers;
    std::optional<StateCopy> copied;

    std::optional<std::uint64_t> at(LogIndex index) const;
  };
  void compare(Own& own, NodeId node, Peer& peer, const Claim& claim, Instant now) const;
  enum class Through : std::uint8_t { kMe, kNotMe };
  NodeId origin(const Own& own, NodeId node, Through through) const;

  NodeId self_;
  Duration valid_;
  Bug bug_;
  std::map<GroupId, Own> groups_;
};

}  // namespace evercert::store
