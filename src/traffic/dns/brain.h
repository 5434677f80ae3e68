// SPDX-License-Identifier: Apache-2.0
// From the results of health checks to what is answered: which edges serve, which regions are in. Pure: results and
// time come in, views and events go out. One thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "traffic/dns/reentry.h"
#include "traffic/dns/view.h"
#include "traffic/policy/endpoint_health.h"

namespace evercert::traffic::dns {

struct BrainRules {
  HealthThresholds thresholds;
  int failover_percent = 50;  // a region is out when so large a share of its edges is unhealthy
  // When every region looks out, those stay that were in so long ago at most: as long as it may take to find all of
  // them dead that died at once.
  Duration memory = 10s;
  // A region goes out at once, and comes back when it has been well for so long without a break: `reentry`, twice as
  // long each time it did not last. Not when it had not been seen well before (a name server that starts), nor when no
  // other region is in: then as soon as enough of its edges are healthy.
  Duration reentry = 30s, longest_reentry = 300s;
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

  // How much of its usual traffic each region is to get, in per cent, by the failover controller (traffic/shares) and
  // by the regions' word. One whose edges failed checks while it had 0 waits until they have been well for `reentry`.
  std::vector<BrainEvent> set_shares(const std::vector<int>& percent, const std::string& by, Instant now);

  // It is out, or in only because this server could not see, or gets nothing by its share: its edges are to be checked
  // as often as what has failed, so that no break goes unseen.
  bool watched_closely(std::size_t region) const;

  // Never null; another object, of a higher generation, after each change of what is answered.
  std::shared_ptr<const View> view() const { return view_; }

 private:
  struct Edge {
    explicit Edge(HealthThresholds thresholds) : health(thresholds) {}
    EndpointHealth health;
    std::string evidence;
    bool spare = false;
    bool seen = false;    // a check has passed, ever
    bool failed = false;  // the last check has
    Instant lost;         // when it became unhealthy
    double usual_us = 0, smooth_us = 0;
  };
  struct Region {
    std::vector<Edge> edges;
    bool in = true;
    bool confirmed = false;  // was in by checks that have passed
    Instant lost;            // when it went out
    Reentry reentry;
    bool held = false;  // healthy again, too soon
    // This server was blind until then, and has led clients here meanwhile: so it does until a check that began since
    // says what is true.
    std::optional<Instant> saw_again;
    int share = 100, wanted_share = 100;  // in force; and by the last word, which may have to wait
    std::string shared_by;
    Reentry calm;             // while its share is 0
    bool shaken = false;      // a check has failed meanwhile
    bool share_held = false;  // it is to be more, too soon
  };

  // Whether enough edges are left when those count as lost that `lost` says.
  template <class Lost>
  bool enough(std::size_t region, Lost lost) const;
  bool healthy_enough(std::size_t region) const;
  std::size_t unhealthy(std::size_t region) const;
  void looked_at(std::size_t region, Instant now);
  bool may_return(std::size_t region, bool passed, Instant now, std::vector<BrainEvent>& events);
  // `passed`: a check of it has, just now.
  void evaluate(std::size_t region, bool passed, Instant now, std::vector<BrainEvent>& events);
  bool steady(std::size_t region) const;
  // How long it has to go on to be well; nothing: it is not, or no check has said so.
  std::optional<Duration> still_to_wait(std::size_t region, Reentry& reentry, bool passed, Instant now) const;
  void follow_share(std::size_t region, bool passed, Instant now, std::vector<BrainEvent>& events);
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
