// SPDX-License-Identifier: Apache-2.0
// What one node knows of the health of all: its own components, what the other nodes' interfaces answer and say of
// theirs, the scores of services, regions and the globe that follow, and whether a region is out by the word of two.
// Pure: checks are begun and ended from outside. One thread.
//
// A node is checked where its clients would ask it, and its answer carries its own scores, so that one request tells
// both. What it says is believed about itself alone; of other regions it is one observer among several. Checks come
// every few seconds, so a dead node would be noticed late: whoever is not heard any more on the store's connections is
// checked at once, and while a region looks ill and is not out, all others are asked what they see every half second.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "health/component.h"
#include "health/phi_accrual.h"
#include "health/verdict.h"

namespace evercert::health {

// The parts of a node that are checked, with the specification's intervals and time-outs.
inline constexpr CheckPlan kApiCheck{5s, 2s, 2, 3};
inline constexpr CheckPlan kDatabaseCheck{10s, 5s, 2, 3};
inline constexpr CheckPlan kHsmCheck{30s, 10s, 2, 3};
inline constexpr CheckPlan kCertificateCheck{60s, 30s, 2, 3};
// What costs a part of the work alone must not send clients away, nor keep a region from coming back (verdict.h: 40
// and 70).
// Of the groups that other regions lead: their records are answered for as stale.
inline constexpr CheckPlan kFollowedCheck{10s, 5s, 2, 3, 75};
// Of the resolver: without it no domain is validated, and all else goes on.
inline constexpr CheckPlan kResolverCheck{10s, 5s, 2, 3, 75};

// What a node tells of itself, and of the regions as it sees them.
struct Report {
  struct Part {
    double points = 100;
    std::string why;  // the weightiest reasons, for a person
  };
  NodeId node;
  std::map<std::string, Part> components;
  std::map<RegionId, Part> regions;
};

struct BoardOptions {
  NodeId self;
  std::map<NodeId, RegionId> nodes;         // all that keep records, also self
  std::map<RegionId, std::string> regions;  // names
  VerdictOptions verdict;
};

class Board {
 public:
  Board(BoardOptions options, Instant now);

  // Who the nodes are, also self, changes while the cluster runs. A region without nodes is nobody's concern.
  void set_nodes(std::map<NodeId, RegionId> nodes, Instant now);

  // --- own components. A checked one has a plan; a measured one is told.
  Component& check(const std::string& name, CheckPlan plan, Instant now);
  void measured(const std::string& name, Score score);

  // --- the other nodes
  std::vector<NodeId> due(Instant now) const;  // are to be asked now
  void asked(NodeId node, Instant now);
  // Anything has come from it on the store's connections, which carry heartbeats all the time.
  void heard(NodeId node, Instant at);
  // What it answered: its report, or why there is none. A report of another node than was asked is a failure.
  void answered(NodeId node, Result<Report> answer, Instant now);
  // The next moment at which something is due.
  Instant next_event() const;
  // Checks that have taken too long, and verdicts.
  std::vector<Verdicts::Change> review(Instant now);

  // --- what follows
  Score node(NodeId node) const;
  // Of a region: all its services are needed; each is as good as its nodes that have it.
  Score service(RegionId region, const std::string& name) const;
  std::vector<std::string> services() const;
  Score region(RegionId region) const;
  // The regions', by the number of their nodes. (Without a majority each region's database is down, and so are all.)
  Score globe() const;
  bool out(RegionId region) const { return verdicts_.out(region); }
  Report report() const;
  // With those that have nodes.
  std::vector<RegionId> regions() const;
  const BoardOptions& options() const { return options_; }

 private:
  struct Peer {
    Component api;
    Report last;
    PhiAccrual heartbeats;
    Instant asked;
  };
  bool has_nodes(RegionId region) const;
  bool disputed() const;
  std::map<std::string, Score> own_scores() const;
  std::map<std::string, Score> scores_of(NodeId node) const;

  BoardOptions options_;
  std::map<std::string, Component> checked_;
  std::map<std::string, Score> measured_;
  std::map<NodeId, Peer> peers_;
  Verdicts verdicts_;
};

// As JSON, for peers and people. parse: kInvalid for what is no report, or larger or stranger than one may be.
std::string to_json(const Report& report);
Result<Report> parse_report(std::string_view text);

}  // namespace evercert::health
