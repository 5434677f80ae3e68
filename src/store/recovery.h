// SPDX-License-Identifier: Apache-2.0
// What a replica may do that starts without its log. It may have voted and acknowledged in a life that it no longer
// remembers, so it must not vote, promise or claim freshness until it is known to hold everything that its forgotten
// self could have helped to decide (compare the recovery protocol of Viewstamped Replication Revisited, section 4.3).
//
// It asks every other node for its term and the end of its log. Every quorum that this node was part of has
// majority - 1 further members; answers from so many others that each such quorum has a member among them are enough:
// nodes - majority + 1. Who has not caught up himself since he lost his log does not count, group by group (in one that
// he votes in no more he may never catch up), nor does who knows nothing and asks, unless he is new (founding.h of the
// node): such have nothing to remember, and when all are, a new cluster starts. When more disks were lost at once than
// that leaves room for, what only those held is gone: the node waits until a person says, by `evercert recover`, that
// the cluster is to go on without it. Who the members are, the most up-to-date of the answers says, group by group, and
// who they were in the beginning, everybody who remembers: the own cluster file may be of a later day. A node that is
// no member (yet) learns so too, and follows when it is made one. From then on the highest term heard counts as voted
// in, and the end of the most up-to-date log is the floor that the own log must reach.
//
// The leader of that term must be among them (as there, the primary of the latest view): what it counts on of the
// forgotten life, acknowledgements still on their way among it, lies below the end of its log when it answers, and from
// then on it counts on none of it. Who leads goes on, and sends this node what it lacks. When nobody comes to lead,
// perhaps for want of this very node, it goes on without after a while, and counts one term more as voted in: a leader
// that is still hidden somewhere starts over when it meets that.
//
// Groups that were added later: whoever has the entry in its log that founds one tells of it, though the group may not
// have begun there. This node may have voted in it, and then that entry was committed, so one of those who are enough
// for the global group has it.
//
// Pure: one instance per node, all groups.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "store/configuration.h"
#include "store/planted.h"

namespace evercert::store {

class Recovery {
 public:
  struct GroupFacts {
    Term term;
    Position last;
    std::optional<Configuration> configuration;  // as the answering node's state has it; none: that of the cluster file
    std::vector<Configuration> coming{};         // what the changes that are under way there would make of it
    bool forgot = false;                         // its gate is closed: its log lacks what it may have acknowledged
    bool leads = false;                          // in this term
  };

  // `layout`: of the cluster file. The bug is one of planted.h. `may_found`: this node was made for a new cluster and
  // has been part of none yet.
  Recovery(const Layout& layout, NodeId self, bool recovering, Bug bug = Bug::kNone, bool may_found = true);

  bool asking() const { return asking_; }
  // All are asked once more, some tenths of a second after the last time.
  void asks_again() { ++rounds_; }
  // `others_recovering`: the answering node has no memory of its own. `facts` by group, of as many groups as it knows.
  // Returns the result once, when enough have answered: per group the term that counts as voted in and the floor.
  std::optional<std::vector<GroupFacts>> told(NodeId from, bool other_recovering, std::vector<GroupFacts> facts,
                                              std::vector<NodeId> founders = {}, std::uint8_t founding_regions = 0,
                                              bool may_found = true);
  // All whom the file names have answered, none has a memory, and not all of them are new.
  bool nobody_remembers() const { return nobody_remembers_; }
  // All voters of some group have answered, and more of them than may be have lost what they knew.
  bool too_few_remember() const { return too_few_remember_; }
  // The voters and the regions of the beginning, as those who remember say; those of the cluster file when nobody does.
  const std::vector<NodeId>& founders() const { return founders_; }
  std::uint8_t founding_regions() const { return founding_regions_; }

 private:
  struct Answer {
    bool recovering;
    bool agrees;  // on who founded the cluster
    bool may_found;
    std::vector<GroupFacts> facts;
  };
  enum class Heard { kTooFew, kForgotten, kEnough };
  std::size_t groups_told_of() const;
  Heard heard_of(std::size_t group) const;
  Heard heard_from(std::size_t group, const Configuration& configuration) const;
  bool hears_leader(std::size_t group) const;
  Term highest_term(std::size_t group) const;

  static constexpr int kRoundsWithoutLeader = 30;  // several elections could have been held

  Layout layout_;
  NodeId self_;
  Bug bug_;
  bool may_found_, nobody_remembers_ = false, too_few_remember_ = false;
  bool asking_;
  int rounds_ = 0;
  std::vector<NodeId> founders_;
  std::uint8_t founding_regions_;
  std::map<NodeId, Answer> answers_;
};

}  // namespace evercert::store
