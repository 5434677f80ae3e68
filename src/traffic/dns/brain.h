// SPDX-License-Identifier: Apache-2.0
// From the results of health checks to what is answered: which edges serve, which regions are in. Pure: results and
// time come in, views and events go out. One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "traffic/dns/view.h"
#include "traffic/policy/endpoint_health.h"

namespace evercert::traffic::dns {

struct BrainRules {
  HealthThresholds thresholds;
  int failover_percent = 50;  // a region is out when so large a share of its edges is unhealthy
  // When every region looks out, those stay that were in so long ago at most: as long as it may take to find all of
  // them dead that died at once.
  Duration memory = 10s;
  Duration reentry = 30s;       // a region comes back at most once in this time; it goes out at once
  Duration latency_hold = 30s;  // a change of a region's latency changes answers at most once in this time
};

// What an operator should read. `warning`: something got worse.
struct BrainEvent {
  bool warning = false;
  std::string text;
};

struct CheckResult {
  bool passed = false;
  Duration took{0};
  std::string evidence;  // of a failure: what was seen
};

class Brain {
 public:
  // Every edge counts as healthy until checks say otherwise.
  Brain(std::vector<RegionFacts> facts, Policy policy, BrainRules rules, Instant now);

  std::vector<BrainEvent> checked(std::size_t region, std::size_t edge, const CheckResult& result, Instant now);
  // For what waits for time alone. To be called every second or so.
  std::vector<BrainEvent> tick(Instant now);

  // How much of its usual traffic each region is to get, in per cent, by the failover controller (traffic/shares).
  std::vector<BrainEvent> set_shares(const std::vector<int>& percent, const std::string& by, Instant now);

  // Never null; another object, of a higher generation, after each change of what is answered.
  std::shared_ptr<const View> view() const { return view_; }

 private:
  struct Edge {
    explicit Edge(HealthThresholds thresholds) : health(thresholds) {}
    EndpointHealth health;
    std::string evidence;
    bool spare = false;
    Instant lost;  // when it became unhealthy
    double usual_us = 0, smooth_us = 0;
  };
  struct Region {
    std::vector<Edge> edges;
    bool in = true;
    Instant lost;  // when it went out
    Instant last_reentry{INT64_MIN / 2};
    bool held = false;  // healthy again, too soon
    int share = 100;
  };

  bool healthy_enough(std::size_t region) const;
  std::size_t unhealthy(std::size_t region) const;
  void evaluate(std::size_t region, Instant now, std::vector<BrainEvent>& events);
  void publish(Instant now, std::vector<BrainEvent>& events);
  std::vector<RegionState> states_now() const;
  void remember(std::vector<RegionState>& states, Instant now) const;
  void measure(Edge& edge, Duration took);
  bool latency_moved(const std::vector<RegionState>& fresh) const;
  std::string names_of(bool in) const;

  BrainRules rules_;
  std::vector<Region> regions_;
  std::shared_ptr<const View> view_;
  Instant latency_at_;
};

}  // namespace evercert::traffic::dns
