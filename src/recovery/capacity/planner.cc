// SPDX-License-Identifier: Apache-2.0
#include "recovery/capacity/planner.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace evercert::recovery {
namespace {

constexpr std::size_t kPoints = 720, kFewPoints = 20;
constexpr double kFewRequests = 1;     // a second: fewer say nothing about what one costs
constexpr double kEnoughSpread = 0.2;  // of the mean rate, as standard deviation: less says nothing about the idle part

struct Line {
  double intercept = 0, slope = 0;
};

// What is left of `parts` when the largest `failed` are gone.
double without_largest(std::vector<double> parts, int failed) {
  std::ranges::sort(parts, std::greater<>());
  double left = 0;
  for (std::size_t i = static_cast<std::size_t>(failed); i < parts.size(); ++i) left += parts[i];
  return left;
}

int may_fail(const std::vector<double>& parts, double load, double limit) {
  int failed = 0;
  while (failed + 1 < static_cast<int>(parts.size()) && without_largest(parts, failed + 1) * limit >= load) ++failed;
  return failed;
}

}  // namespace

double erlang_c(int servers, double load) {
  if (servers <= 0 || load >= servers) return 1;
  if (load <= 0) return 0;
  double blocked = 1;  // Erlang B, by its recursion
  for (int n = 1; n <= servers; ++n) blocked = load * blocked / (n + load * blocked);
  const double utilisation = load / servers;
  return blocked / (1 - utilisation * (1 - blocked));
}

void Planner::set_nodes(std::map<NodeId, RegionId> nodes) {
  nodes_ = std::move(nodes);
  std::erase_if(known_, [this](const auto& known) { return !nodes_.contains(known.first); });
}

void Planner::measured(const std::vector<NodeLoad>& loads, Instant now) {
  if (!first_) first_ = now;
  double rate = 0, busy = 0;
  for (const NodeLoad& load : loads) {
    if (!nodes_.contains(load.node)) continue;
    known_[load.node] = {load, now};
    rate += load.rate;
    busy += load.busy;
  }
  points_.push_back({rate, busy});
  if (points_.size() > kPoints) points_.pop_front();
  growth_.measured(busy, now);
  if (minutes_.empty() || now - minutes_.back().at >= 60s) minutes_.push_back({now, {}});
  std::map<RegionId, double> edges;  // every node of a region sees the same ones
  Used used{busy, 0, 0};
  for (const NodeLoad& load : loads) {
    const auto node = nodes_.find(load.node);
    if (node == nodes_.end()) continue;
    double& of_region = edges[node->second];
    of_region = std::max(of_region, load.edge_busy);
    used[2] += load.signs;
  }
  for (const auto& [region, edge_busy] : edges) used[1] += edge_busy;
  for (std::size_t r = 0; r < kResources; ++r) minutes_.back().used[r] = std::max(minutes_.back().used[r], used[r]);
  while (now - minutes_.front().at > options_.window) minutes_.pop_front();
}

CapacityReport Planner::report(Instant now) const {
  CapacityReport report;
  std::vector<double> by_zone;
  for (const auto& [node, region] : nodes_) {
    CapacityReport::Region& of = report.regions[region];
    const auto known = known_.find(node);
    if (known == known_.end() || now - known->second.at > options_.stale) continue;
    const NodeLoad& load = known->second.load;
    ++of.nodes;
    of.rate += load.rate;
    of.busy += load.busy;
    of.cores += load.cores;
    of.edge_busy = std::max(of.edge_busy, load.edge_busy);
    of.edge_cores = std::max(of.edge_cores, load.edge_cores);
    of.signs += load.signs;
    of.most_signs += load.most_signs;
    of.edges = std::max(of.edges, load.edges);
    of.edges_answering = std::max(of.edges_answering, load.edges_answering);
  }
  for (const auto& [node, region] : nodes_) {
    const auto known = known_.find(node);
    if (known == known_.end() || now - known->second.at > options_.stale) continue;
    if (!report.regions.at(region).unreachable()) by_zone.push_back(known->second.load.cores);
  }
  std::vector<double> by_region;
  for (const auto& [region, of] : report.regions) {
    report.rate += of.rate;
    report.busy += of.busy;
    if (of.unreachable()) continue;
    report.cores += of.cores;
    if (of.cores > 0) by_region.push_back(of.cores);
  }
  // By resource: what each region has of it, and what is used of it now, and was at the peak. Where a region is not
  // known to have any, the resource is not looked at: nobody counts on what nobody has seen.
  std::array<std::vector<double>, kResources> there;
  Used used{};
  std::array<bool, kResources> counts{true, true, true};
  for (const auto& [region, of] : report.regions) {
    if (of.cores <= 0 || of.unreachable()) continue;
    const Used has{of.cores, of.edge_cores, of.most_signs}, uses{of.busy, of.edge_busy, of.signs};
    for (std::size_t r = 0; r < kResources; ++r) {
      there[r].push_back(has[r]);
      used[r] += uses[r];
      counts[r] = counts[r] && has[r] > 0;
    }
  }
  Used peak = used;
  for (const Minute& minute : minutes_) {
    for (std::size_t r = 0; r < kResources; ++r) peak[r] = std::max(peak[r], minute.used[r]);
  }
  report.peak = peak[0];
  if (first_) report.watched = std::min(now - *first_, options_.window);

  double mean_rate = 0, mean_busy = 0;
  for (const Point& point : points_) mean_rate += point.rate, mean_busy += point.busy;
  const auto count = static_cast<double>(std::max<std::size_t>(1, points_.size()));
  mean_rate /= count;
  mean_busy /= count;
  if (mean_rate >= kFewRequests) {
    report.per_request = mean_busy / mean_rate;  // what is idle is counted in: the careful side
    double both = 0, squares = 0;
    for (const Point& point : points_) {
      both += (point.rate - mean_rate) * (point.busy - mean_busy);
      squares += (point.rate - mean_rate) * (point.rate - mean_rate);
    }
    const bool varied = points_.size() >= kFewPoints && std::sqrt(squares / count) >= kEnoughSpread * mean_rate;
    const double slope = varied ? both / squares : 0;
    const double idle = mean_busy - slope * mean_rate;
    if (slope > 0 && idle >= 0) {
      report.per_request = slope;
      report.idle = idle;
      report.idle_known = true;
    }
  }
  for (auto& [region, of] : report.regions) {
    if (!report.per_request || *report.per_request <= 0 || of.cores <= 0 || of.unreachable()) continue;
    const double idle = report.cores > 0 ? report.idle * of.cores / report.cores : 0;
    of.most = std::max(0.0, (of.cores * options_.limit - idle) / *report.per_request);
    // What a request takes of the others is what it takes everywhere.
    const Used has{of.cores, of.edge_cores, of.most_signs};
    for (std::size_t r = 1; r < kResources; ++r) {
      if (!counts[r] || used[r] <= 0 || report.rate <= 0) continue;
      const double most = has[r] * options_.limit * report.rate / used[r];
      if (most >= of.most) continue;
      of.most = most;
      of.bound_by = static_cast<Resource>(r);
    }
  }
  report.regions_now = may_fail(by_region, report.busy, options_.limit);
  report.regions_peak = may_fail(by_region, report.peak, options_.limit);
  for (std::size_t r = 1; r < kResources; ++r) {
    if (!counts[r]) continue;
    report.regions_now = std::min(report.regions_now, may_fail(there[r], used[r], options_.limit));
    const int at_peak = may_fail(there[r], peak[r], options_.limit);
    if (at_peak >= report.regions_peak) continue;
    report.regions_peak = at_peak;
    report.bound_by = static_cast<Resource>(r);
  }
  report.zones_now = may_fail(by_zone, report.busy, options_.limit);
  report.zones_peak = may_fail(by_zone, report.peak, options_.limit);
  // One that is gone has failed already; one whose edges are gone still votes.
  const auto gone = static_cast<int>(
      std::ranges::count_if(report.regions, [](const auto& region) { return region.second.cores <= 0; }));
  const auto all = static_cast<int>(report.regions.size() + options_.witness_regions);
  report.regions_by_majority = std::max(0, (all - 1) / 2 - (first_ ? gone : 0));
  const auto trend = growth_.trend(now);
  report.trend_known = trend.has_value();
  for (int failed = 0; failed <= 2 && failed <= static_cast<int>(by_region.size()); ++failed) {
    AfterLoss& after = report.after.emplace_back();
    after.failed = failed;
    after.cores = without_largest(by_region, failed);
    after.utilisation = after.cores > 0 ? report.peak / after.cores : 0;
    after.waiting = erlang_c(static_cast<int>(std::floor(after.cores + 1e-9)), report.peak);
    after.headroom = after.cores * options_.limit - report.peak;
    for (std::size_t r = 0; r < kResources; ++r) {
      const double left = counts[r] ? without_largest(there[r], failed) : 0;
      const double share = left > 0 ? peak[r] / left : 0;
      if (share <= after.bound_utilisation) continue;
      after.bound_utilisation = share;
      after.bound_by = static_cast<Resource>(r);
    }
    if (!trend || failed == 0) continue;
    const auto until = health::time_to(*trend, after.cores * options_.limit);
    (failed == 1 ? report.until_n1 : report.until_n2) = until;
  }
  return report;
}

}  // namespace evercert::recovery
