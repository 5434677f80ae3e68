// SPDX-License-Identifier: Apache-2.0
// Which regions are gone and which are back, by the promises that are given to them: each node says what it knows of
// its own promises, the leader of the global group counts whole regions. Two pure parts; time comes in as an argument.
//
// A node knows of a region that it is silent when it has promised it nothing, in any group, for some time. It counts
// that time only while it does promise to a majority of regions itself: a node that hears nobody has lost its own
// network, and knows nothing of the others.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "store/layout.h"

namespace evercert::store {

struct FenceTiming {
  Duration silence = 3s;  // from the lapse of the promises to a region until its silence is attested
  Duration readmit = 2s;  // how long promises must stand in all groups; doubled by each fence that follows closely
};

// What a node says of a region.
struct RegionWord {
  RegionId region;
  Duration silent{0};  // no promise in any group
  Duration held{0};    // promises in all groups
};

// Of one node: how long it has promised what to whom.
class PromiseWatch {
 public:
  PromiseWatch(RegionId own, Instant start);
  // The promises that stand now: to these regions in some group, to those in all groups. Call every lease renewal.
  // `counted`: regions of which a majority decides.
  void saw(RegionSet in_some, RegionSet in_all, RegionSet counted, Instant now);
  // This node's own memory is not whole: its promises say nothing.
  void forget(Instant now);
  RegionWord word(RegionId region, Instant now) const;

 private:
  struct Times {
    Instant promised;    // when a promise stood last
    Instant held_since;  // in all groups, without a break
  };
  RegionId own_;
  std::vector<Times> times_;  // by region, also of those that may be added
};

// Of the leader of the global group: what the nodes said last.
class AttestationBook {
 public:
  // `valid`: an older word counts no more.
  AttestationBook(const Layout& layout, Duration valid) : layout_(layout), valid_(valid) {}
  // `sent`: the sender's own clock. What it said earlier and arrives later is dropped. `epoch`: that it saw.
  void told(NodeId from, Instant sent, Epoch epoch, std::vector<RegionWord> words, Instant now);
  void forget(NodeId from) { last_.erase(from); }  // it has started anew: so has its clock
  void clear() { last_.clear(); }
  // Regions of which a quorum of nodes, all seeing `epoch`, say that `region` has been silent for so long.
  RegionSet silent(RegionId region, Duration least, Epoch epoch, Instant now) const;
  // The same of its being held.
  RegionSet held(RegionId region, Duration least, Epoch epoch, Instant now) const;

 private:
  struct Last {
    Instant sent, received;
    Epoch epoch;
    std::vector<RegionWord> words;
  };
  template <class Says>
  RegionSet regions_that(Says says, RegionId region, Epoch epoch, Instant now) const;

  const Layout& layout_;
  Duration valid_;
  std::map<NodeId, Last> last_;
};

}  // namespace evercert::store
