// SPDX-License-Identifier: Apache-2.0
// How much the cluster carries, how much it could, and how many regions and zones may fail. From measurements alone: by
// the utilisation law a request's demand is busy processors by requests a second (Denning and Buzen, "The operational
// analysis of queueing network models", 1978); what a node spends without requests is told apart by least squares when
// the load has varied enough. Three resources are looked at, each by what is used of it and what there is: the nodes'
// processors, the edges', and signatures where keys lie in tokens. Pure; one thread.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "health/forecast.h"

namespace evercert::recovery {

// What binds: whatever is used up first.
enum class Resource { kProcessors, kEdges, kToken };
inline constexpr std::size_t kResources = 3;
constexpr const char* to_string(Resource resource) {
  return resource == Resource::kProcessors ? "the nodes' processors"
         : resource == Resource::kEdges    ? "the edges' processors"
                                           : "the HSM";
}

struct NodeLoad {
  NodeId node;
  double rate = 0;             // requests a second
  double busy = 0, cores = 0;  // processors in use, and that there are
  // Of all edges of its region, as the node sees them; 0 cores: not known.
  double edge_busy = 0, edge_cores = 0;
  // Signatures a second by its token, and the most that the token has shown; 0: its keys are in no token.
  double signs = 0, most_signs = 0;
  // Of its region: how many there are, and how many answer the node. 0 edges: not known.
  int edges = 0, edges_answering = 0;
};

struct PlannerOptions {
  double limit = 0.8;               // of its processors a node may use: beyond, waiting grows fast
  Duration stale = 60s;             // a node that has not been heard for longer has no capacity
  Duration window = 86400s;         // of which the peak is kept
  std::size_t witness_regions = 0;  // count in a majority of regions, and carry nothing
};

// What is left when `failed` regions (or zones), the largest ones, are gone.
struct AfterLoss {
  int failed = 0;
  double cores = 0;        // that are left
  double utilisation = 0;  // of them, by the load
  double waiting = 0;      // probability that a request finds all of them busy (Erlang C); 1: they cannot carry it
  double headroom = 0;     // processors that may still be used within the limit; negative: are lacking
  // The resource of which the load takes the largest share of what is left. (`utilisation` is of the nodes'
  // processors.)
  Resource bound_by = Resource::kProcessors;
  double bound_utilisation = 0;
};

struct CapacityReport {
  struct Region {
    double rate = 0, busy = 0, cores = 0;
    double most = 0;  // requests a second within the limit, of the present mix; 0: not known
    int nodes = 0;
    double edge_busy = 0, edge_cores = 0;       // 0 cores: not known
    double signs = 0, most_signs = 0;           // 0 most: keys are in no token
    Resource bound_by = Resource::kProcessors;  // of `most`
    int edges = 0, edges_answering = 0;         // 0 edges: not known
    // It has edges, and none of them answers any of its nodes: no client reaches what its nodes could do. Then it is
    // not counted in anything below, but for the load that others would have.
    bool unreachable() const { return nodes > 0 && edges > 0 && edges_answering == 0; }
  };
  std::map<RegionId, Region> regions;
  double rate = 0, busy = 0, cores = 0, peak = 0;  // peak: of busy, in the window
  Duration watched{0};                             // how much of the window has been seen
  std::optional<double> per_request;               // processor seconds; nullopt: too few requests
  double idle = 0;                                 // processors that are busy without requests
  bool idle_known = false;
  // At the load of now, and of the peak: how many regions, and zones, may fail with the rest within the limit.
  int regions_now = 0, regions_peak = 0, zones_now = 0, zones_peak = 0;
  int regions_by_majority = 0;                 // that may fail still: beyond it nothing is issued, whatever there is
  Resource bound_by = Resource::kProcessors;   // why no more regions may fail at the peak
  std::vector<AfterLoss> after;                // of regions: none, one, two, at the peak
  std::optional<Duration> until_n1, until_n2;  // when growth takes away that one, or two, may fail; zero: it has
  bool trend_known = false;
};

class Planner {
 public:
  explicit Planner(std::map<NodeId, RegionId> nodes, PlannerOptions options = {})
      : nodes_(std::move(nodes)), options_(options) {}

  // Who they are changes while the cluster runs.
  void set_nodes(std::map<NodeId, RegionId> nodes);
  // What was seen of the nodes that answered, at one moment. Every ten to sixty seconds.
  void measured(const std::vector<NodeLoad>& loads, Instant now);
  CapacityReport report(Instant now) const;

 private:
  using Used = std::array<double, kResources>;
  struct Known {
    NodeLoad load;
    Instant at;
  };
  struct Minute {
    Instant at;
    Used used{};  // the largest of each
  };
  struct Point {
    double rate, busy;
  };

  std::map<NodeId, RegionId> nodes_;
  PlannerOptions options_;
  std::map<NodeId, Known> known_;
  std::deque<Minute> minutes_;
  std::deque<Point> points_;  // for the demand of a request
  health::Series growth_{60s};
  std::optional<Instant> first_;
};

// The probability that one who comes finds all of `servers` busy: M/M/c (Erlang 1917). `load`: in servers. 1 when load
// is not below servers.
double erlang_c(int servers, double load);

}  // namespace evercert::recovery
