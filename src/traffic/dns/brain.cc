// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/brain.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace evercert::traffic::dns {
namespace {

std::string edge_name(const RegionFacts& region, std::size_t edge) {
  return region.name + "/" + std::to_string(edge + 1);
}

std::string seconds(Duration left) { return std::to_string((left + 999ms) / 1s); }

bool same_health(const std::vector<RegionState>& a, const std::vector<RegionState>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const RegionState& x, const RegionState& y) {
    return x.in == y.in && x.serving == y.serving && x.share == y.share;
  });
}

}  // namespace

Brain::Brain(std::vector<RegionFacts> facts, Policy policy, BrainRules rules, Instant now)
    : rules_(rules), latency_at_(now - rules.latency_hold) {
  for (const auto& region : facts) {
    regions_.push_back(Region{.edges = {},
                              .lost = Instant{INT64_MIN / 2},
                              .reentry = {rules.reentry, rules.longest_reentry},
                              .saw_again = {},
                              .shared_by = {},
                              .calm = {rules.reentry, rules.longest_reentry}});
    for (const EdgeFacts& edge : region.edges) {
      Edge& added = regions_.back().edges.emplace_back(rules_.thresholds);
      added.spare = edge.spare;
      added.lost = Instant{INT64_MIN / 2};
      // One that need not run is there when checks have found it.
      for (int i = 0; edge.spare && i < rules_.thresholds.unhealthy; ++i) added.health.check_failed();
    }
  }
  view_ = std::make_shared<const View>(std::move(facts), policy);
}

std::size_t Brain::unhealthy(std::size_t region) const {
  const auto& edges = regions_[region].edges;
  return static_cast<std::size_t>(std::count_if(
      edges.begin(), edges.end(), [](const Edge& edge) { return !edge.spare && !edge.health.healthy(); }));
}

template <class Lost>
bool Brain::enough(std::size_t region, Lost lost) const {
  std::size_t all = 0, bad = 0;
  for (const Edge& edge : regions_[region].edges) {
    const bool gone = lost(edge);
    all += edge.spare && gone ? 0 : 1;  // one that is not run is not missed
    bad += !edge.spare && gone ? 1 : 0;
  }
  // The second: a threshold of 100 % leaves no region in that has nobody to answer.
  return bad * 100 < all * static_cast<std::size_t>(rules_.failover_percent) && bad < all;
}

bool Brain::healthy_enough(std::size_t region) const {
  return enough(region, [](const Edge& edge) { return !edge.health.healthy(); });
}

bool Brain::watched_closely(std::size_t region) const {
  return !regions_[region].in || regions_[region].saw_again || regions_[region].share == 0;
}

void Brain::measure(Edge& edge, Duration took) {
  const double us = static_cast<double>(took.count());
  if (edge.smooth_us == 0) {
    edge.smooth_us = edge.usual_us = us;
    return;
  }
  edge.smooth_us += 0.3 * (us - edge.smooth_us);
  // The usual time falls at once and rises slowly, so that what has become slow is seen as slow for a while.
  edge.usual_us = us < edge.usual_us ? us : edge.usual_us + 0.01 * (us - edge.usual_us);
}

std::vector<BrainEvent> Brain::checked(std::size_t region, std::size_t edge, const CheckResult& result, Instant now) {
  EC_CHECK(region < regions_.size() && edge < regions_[region].edges.size(), "a check is of an edge that there is");
  std::vector<BrainEvent> events;
  Edge& checked = regions_[region].edges[edge];
  const bool before = checked.health.healthy();
  checked.failed = !result.passed;
  if (result.passed) {
    checked.seen = true;
    checked.health.check_passed();
    measure(checked, result.took);
  } else {
    checked.health.check_failed();
    checked.evidence = result.evidence;
    const auto& saw_again = regions_[region].saw_again;
    if (saw_again && now - result.took >= *saw_again) looked_at(region, now);
  }
  const bool after = checked.health.healthy();
  if (before && !after) checked.lost = now;
  if (before != after) {
    const std::string name = edge_name(view_->facts()[region], edge);
    const std::string thresholds = std::to_string(after ? rules_.thresholds.healthy : rules_.thresholds.unhealthy);
    events.push_back({!after, after ? "edge=" + name + " healthy: " + thresholds + " good checks in a row"
                                    : "edge=" + name + " unhealthy: " + thresholds +
                                          " failed checks in a row, the last: " + checked.evidence});
  }
  evaluate(region, result.passed, now, events);
  publish(now, events);
  return events;
}

std::vector<BrainEvent> Brain::tick(Instant now) {
  std::vector<BrainEvent> events;
  for (std::size_t r = 0; r < regions_.size(); ++r) evaluate(r, false, now, events);
  publish(now, events);
  return events;
}

std::vector<BrainEvent> Brain::set_shares(const std::vector<int>& percent, const std::string& by, Instant now) {
  EC_CHECK(percent.size() == regions_.size(), "a share is of a region that there is");
  std::vector<BrainEvent> events;
  for (std::size_t r = 0; r < percent.size(); ++r) {
    regions_[r].wanted_share = std::clamp(percent[r], 0, 100);
    regions_[r].shared_by = by;
    follow_share(r, false, now, events);
  }
  publish(now, events);
  return events;
}

void Brain::follow_share(std::size_t which, bool passed, Instant now, std::vector<BrainEvent>& events) {
  Region& region = regions_[which];
  const std::string& name = view_->facts()[which].name;
  if (region.share == 0) {
    region.shaken = region.shaken || !steady(which);
    const auto left = still_to_wait(which, region.calm, passed, now);
    if (region.wanted_share > 0 && region.shaken && !(left == 0s && passed)) {
      if (left > 0s && !std::exchange(region.share_held, true))
        events.push_back(
            {false, "region=" + name + " share stays 0 % until it has been well for " + seconds(*left) + " s more"});
      return;
    }
  }
  const int before = std::exchange(region.share, region.wanted_share);
  if (before == region.share) return;
  if (before == 0) region.calm.came_back(now);
  if (region.share == 0) {
    region.calm.went_out(now);
    region.shaken = region.share_held = false;
  }
  events.push_back({region.share < before, "region=" + name + " share " + std::to_string(before) + " % -> " +
                                               std::to_string(region.share) + " %: " + region.shared_by});
}

void Brain::evaluate(std::size_t which, bool passed, Instant now, std::vector<BrainEvent>& events) {
  Region& region = regions_[which];
  const RegionFacts& facts = view_->facts()[which];
  const std::string share =
      std::to_string(unhealthy(which)) + " of " + std::to_string(region.edges.size()) + " edges unhealthy";
  const bool well = healthy_enough(which);
  follow_share(which, passed, now, events);
  if (region.saw_again && (well || now - *region.saw_again > rules_.memory)) looked_at(which, now);
  if (region.in && !well && !region.saw_again) {
    region.in = false;
    region.lost = now;
    region.held = false;
    region.reentry.went_out(now);
    std::string evidence;
    for (std::size_t e = 0; e < region.edges.size(); ++e) {
      if (!region.edges[e].spare && !region.edges[e].health.healthy())
        evidence += (evidence.empty() ? "" : "; ") + edge_name(facts, e) + ": " + region.edges[e].evidence;
    }
    events.push_back({true, "region=" + facts.name + " out: " + share + ", the threshold is " +
                                std::to_string(rules_.failover_percent) + " % (" + evidence + ")"});
  } else if (!region.in && may_return(which, passed, now, events)) {
    region.in = true;
    region.reentry.came_back(now);
    events.push_back({false, "region=" + facts.name + " in: " + share});
  }
  region.confirmed =
      region.confirmed ||
      (region.in && well && enough(which, [](const Edge& edge) { return !edge.seen || !edge.health.healthy(); }));
}

void Brain::looked_at(std::size_t which, Instant now) {
  regions_[which].saw_again.reset();
  // Clients were led there until now, as far as anybody remembers.
  for (std::size_t e = 0; e < regions_[which].edges.size(); ++e) {
    if (view_->states()[which].serving[e]) regions_[which].edges[e].lost = now;
  }
}

bool Brain::may_return(std::size_t which, bool passed, Instant now, std::vector<BrainEvent>& events) {
  Region& region = regions_[which];
  // Who is alone is not kept waiting for being unsteady.
  const bool alone = std::none_of(regions_.begin(), regions_.end(), [](const Region& other) { return other.in; });
  if (healthy_enough(which) && (alone || !region.confirmed)) return true;
  const auto left = still_to_wait(which, region.reentry, passed, now);
  if (left > 0s && !std::exchange(region.held, true)) {
    events.push_back({false, "region=" + view_->facts()[which].name + " healthy, and back when it has been for " +
                                 seconds(*left) + " s more"});
  }
  return left == 0s && passed;  // a check that is under way may be one that fails
}

// One failed check does not make an edge unhealthy, and is a break all the same.
bool Brain::steady(std::size_t which) const {
  return enough(which, [](const Edge& edge) { return !edge.health.healthy() || edge.failed; });
}

std::optional<Duration> Brain::still_to_wait(std::size_t which, Reentry& reentry, bool passed, Instant now) const {
  if (!steady(which)) {
    reentry.broke();
    return std::nullopt;
  }
  // What was before a check has passed, nobody has seen.
  if (!reentry.waits() && !passed) return std::nullopt;
  return reentry.left(now);
}

std::vector<RegionState> Brain::states_now() const {
  std::vector<RegionState> states;
  for (const Region& region : regions_) {
    RegionState state;
    state.in = region.in;
    state.share = region.share;
    double smooth = 0, excess = 0;
    int measured = 0;
    for (const Edge& edge : region.edges) {
      state.serving.push_back(edge.health.healthy());
      if (!edge.health.healthy() || edge.smooth_us == 0) continue;
      smooth += edge.smooth_us;
      excess += std::max(0.0, edge.smooth_us - edge.usual_us);
      ++measured;
    }
    if (measured > 0) {
      state.measured = Duration(std::llround(smooth / measured));
      state.excess = Duration(std::llround(excess / measured));
    }
    states.push_back(std::move(state));
  }
  return states;
}

// Small changes are not worth the caches that every change empties.
bool Brain::latency_moved(const std::vector<RegionState>& fresh) const {
  const auto moved = [](Duration old, Duration now) {
    return std::abs((now - old).count()) > std::max<std::int64_t>(10'000, old.count() / 4);
  };
  for (std::size_t r = 0; r < fresh.size(); ++r) {
    const RegionState& old = view_->states()[r];
    if (moved(old.measured, fresh[r].measured) || moved(old.excess, fresh[r].excess)) return true;
  }
  return false;
}

std::string Brain::names_of(bool in) const {
  std::string names;
  for (std::size_t r = 0; r < regions_.size(); ++r) {
    if (view_->leads_to(r) == in) names += (names.empty() ? "" : ", ") + view_->facts()[r].name;
  }
  return names;
}

// All regions at once is what the loss of this server's own network looks like. Then the answers from before that began
// are the best that there are (static stability); a region that was out long before stays out of them.
void Brain::remember(std::vector<RegionState>& states, Instant now) const {
  for (std::size_t r = 0; r < states.size(); ++r) {
    if (view_->blind()) {
      states[r].in = view_->states()[r].in;
      states[r].serving = view_->states()[r].serving;
      continue;
    }
    states[r].in = now - regions_[r].lost <= rules_.memory;
    for (std::size_t e = 0; e < states[r].serving.size(); ++e) {
      const Edge& edge = regions_[r].edges[e];
      states[r].serving[e] = edge.health.healthy() || now - edge.lost <= rules_.memory;
    }
    // A region is out by what its last edge did: that one serves.
    EC_CHECK(!states[r].in || std::count(states[r].serving.begin(), states[r].serving.end(), true) > 0,
             "a region that is remembered has an edge that is");
  }
}

void Brain::publish(Instant now, std::vector<BrainEvent>& events) {
  if (view_->blind() && std::any_of(regions_.begin(), regions_.end(), [](const Region& region) { return region.in; })) {
    // It sees again. The others are as they were believed to be, until they are looked at: a loss that was this
    // server's own takes nobody's clients away when it ends.
    for (std::size_t r = 0; r < regions_.size(); ++r) {
      if (!regions_[r].in && view_->states()[r].in) regions_[r].saw_again = now;
      regions_[r].in = view_->states()[r].in || regions_[r].in;
    }
  }
  std::vector<RegionState> fresh = states_now();
  const bool blind = std::none_of(fresh.begin(), fresh.end(), [](const RegionState& state) { return state.in; });
  if (blind) remember(fresh, now);
  for (std::size_t r = 0; r < fresh.size(); ++r) {
    if (regions_[r].saw_again) fresh[r].serving = view_->states()[r].serving;
  }
  for (std::size_t r = 0; r < fresh.size(); ++r) {  // nobody to measure: as it was
    if (fresh[r].measured == 0us) {
      fresh[r].measured = view_->states()[r].measured;
      fresh[r].excess = view_->states()[r].excess;
    }
  }
  const bool health_changed = blind != view_->blind() || !same_health(fresh, view_->states());
  const bool latency_changed = now - latency_at_ >= rules_.latency_hold && latency_moved(fresh);
  if (!health_changed && !latency_changed) return;
  const bool was_blind = view_->blind();
  if (latency_changed) {
    latency_at_ = now;
  } else {
    for (std::size_t r = 0; r < fresh.size(); ++r) {
      fresh[r].measured = view_->states()[r].measured;
      fresh[r].excess = view_->states()[r].excess;
    }
  }
  auto next = std::make_shared<View>(*view_);
  next->states_ = std::move(fresh);
  next->blind_ = blind;
  ++next->generation_;
  view_ = std::move(next);
  if (!health_changed) return;
  if (blind && !was_blind) {
    events.push_back({true,
                      "every region looks out: this server has lost its own network, or all are lost; the last "
                      "good answers stay: " +
                          names_of(true)});
  } else if (was_blind && !blind) {
    events.push_back({false, "a region is seen again: answers follow the checks again, and lead to " + names_of(true)});
  } else {
    events.push_back(
        {false, "answers lead to " + names_of(true) + " (generation " + std::to_string(view_->generation()) + ")"});
  }
}

}  // namespace evercert::traffic::dns
