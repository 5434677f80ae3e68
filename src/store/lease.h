// SPDX-License-Identifier: Apache-2.0
// Read leases without a leader, after "Paxos Quorum Leases" (Moraru, Andersen, Kaminsky, SoCC 2014), carried over to
// Raft. Three pure parts of one group on one replica: the promises it gives, the promises its region holds, and, on a
// leader, the acknowledgements that decide when a client may be answered. Time comes in as an argument.
//
// The rule. A replica promises a region "until my clock shows t" and from that moment on names the region in every
// acknowledgement of an append. A leader answers its client when the entry is durable on a majority M and on a cover
// of the replicas of every region that a member of M names. A region with unexpired promises from a majority (its own
// replicas count) may read its own log.
//
// Where a promise begins, the giver may already have acknowledged entries without naming the region. So a promise
// carries a *floor*: the end of the giver's log when it began to name the region. The promise counts only once a quorum
// of the region has a log at least as up to date as the floor (Raft's vote rule). A promise that has not run out is
// prolonged with its old floor, since every acknowledgement since then named the region. This lets a region join
// while writes go on, where comparing with the giver's *present* log would fail as long as anything is in flight.
//
// A region that lags by more than `near_lag` is neither promised anew nor prolonged: it drops out of the way of writes
// when the last promise has run out, though it may still be able to ask.
//
// While the voters change, there are two layouts (configuration.h), and everything must hold in each: a lease needs
// promises from a majority of each, an answer a majority of each and covers by each. Between the moment that a change
// is in the reader's log and the moment that it takes effect there, the reader claims no lease.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "store/layout.h"
#include "store/planted.h"

namespace evercert::store {

struct LeaseTiming {
  Duration ttl = 1500ms;      // of a promise, by the giver's clock
  Duration renew = 300ms;     // between two requests
  Duration near_lag = 700ms;  // a region further behind is not promised anything
  double drift_bound = 0.03;  // clocks of two machines differ in speed by at most this
};

// Promises given by this replica to the regions, in one group.
class PromiseBook {
 public:
  // After a start everything is named for one ttl, since promises given before it are forgotten.
  PromiseBook(const Layout& layout, NodeId self, LeaseTiming timing, Instant start, Position last,
              Bug bug = Bug::kNone);

  // To be called whenever the end of the own log has moved.
  void log_at(Position last, Instant now);
  // The log was lost and reaches again as far as whatever a forgotten life acknowledged. Those acknowledgements may
  // have named nobody, so no promise of this life may count below this end.
  void recovered(Position last, Instant now);
  // `region` shows that a quorum of its replicas has reached `shown`. The floor of the promise, or nothing when the
  // region lags too much.
  std::optional<Position> request(RegionId region, Position shown, Instant now);
  // Regions to be named in an acknowledgement that leaves at `now`: all with unexpired promises, and the own region.
  RegionSet promised(Instant now) const;
  // For a model checker: two books with equal texts do the same from `now` on.
  std::string describe(Instant now) const;

 private:
  struct Promise {
    Instant until;
    Position floor;
  };
  struct Sample {
    Instant at;
    Position last;
  };
  Position position_before(Instant at) const;

  RegionSet own_region_;
  std::uint8_t regions_;  // that describe() speaks of
  LeaseTiming timing_;
  Bug bug_;
  Position last_;
  std::vector<Promise> given_;  // by RegionId
  std::deque<Sample> history_;  // ends of the own log, oldest first, a little more than near_lag of them
};

// Promises that this replica's region holds from the others, in one group.
class LeaseHolder {
 public:
  LeaseHolder(const Layout& layout, NodeId self, LeaseTiming timing, Bug bug = Bug::kNone);
  void use(std::vector<Layout> halves) { halves_ = std::move(halves); }
  // A change of voters is in the log and has not taken effect: no lease is claimed.
  void suspend(bool suspended) { suspended_ = suspended; }

  // A promise from `giver`, asked for at `sent` (own clock).
  void granted(NodeId giver, Position floor, Instant sent, Instant received);
  // A neighbour's log reaches `last`. Only ever grows, except after forget_neighbour().
  void neighbour_at(NodeId node, Position last);
  void forget_neighbour(NodeId node);
  void own_log_at(Position last) { own_last_ = last; }

  // What a quorum of this region's replicas has reached.
  Position region_position() const;
  // Until when this region may read by itself; Instant{0} when it may not.
  Instant leased_until() const;
  bool leased(Instant now) const { return now < leased_until(); }
  std::string describe(Instant now) const;  // as PromiseBook's

 private:
  struct Held {
    Instant until;
    Position floor;
  };
  Position region_position(const Layout& layout) const;
  Instant leased_until(const Layout& layout) const;

  std::vector<Layout> halves_;
  bool suspended_ = false;
  NodeId self_;
  LeaseTiming timing_;
  Bug bug_;
  Position own_last_;
  std::map<NodeId, Position> neighbours_;
  std::map<NodeId, Held> held_;
};

// Acknowledgements that a leader has received in its term, in one group.
class AckBook {
 public:
  AckBook(const Layout& layout, Bug bug = Bug::kNone) : halves_{layout}, bug_(bug) {}

  void use(std::vector<Layout> halves) { halves_ = std::move(halves); }
  void clear();  // a new term
  // It has started again, perhaps without its log.
  void forget(NodeId node) { acks_.erase(node); }
  // `node` has everything up to `index` durable and promised `regions` when it said so. Any acknowledgement made in
  // this term stays true, so order of arrival does not matter; the newest is the most useful.
  void acknowledged(NodeId node, LogIndex index, RegionSet regions);
  // The highest index up to which clients may be answered, given what Raft has committed.
  LogIndex answerable(LogIndex committed) const;
  std::string describe() const;  // as PromiseBook's

 private:
  struct Ack {
    LogIndex index;
    RegionSet regions = 0;
  };
  bool answerable_at(LogIndex index) const;
  bool answerable_at(LogIndex index, const Layout& layout) const;

  std::vector<Layout> halves_;
  Bug bug_;
  std::map<NodeId, Ack> acks_;
};

}  // namespace evercert::store
