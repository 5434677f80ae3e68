// SPDX-License-Identifier: Apache-2.0
#include "api/failover/capacity.h"

#include <nlohmann/json.hpp>

namespace evercert::api {
namespace {

using nlohmann::json;

json describe(const recovery::CapacityReport& report, const recovery::Cluster& cluster) {
  json regions = json::array(), after = json::array();
  for (const auto& [region, of] : report.regions) {
    const auto name = cluster.regions.find(region);
    regions.push_back({{"region", name == cluster.regions.end() ? std::to_string(region.value) : name->second},
                       {"nodes", of.nodes},
                       {"requests_per_second", of.rate},
                       {"busy", of.busy},
                       {"cores", of.cores},
                       {"most_requests_per_second", of.unreachable() ? json(0)
                                                    : of.most > 0    ? json(of.most)
                                                                     : json()},
                       {"edges", of.edges > 0 ? json(of.edges) : json()},
                       {"edges_answering", of.edges > 0 ? json(of.edges_answering) : json()},
                       {"carries_nothing", of.unreachable() ? json("none of its " + std::to_string(of.edges) +
                                                                   " edges answers: no client reaches its nodes")
                                           : of.cores <= 0  ? json("none of its nodes is heard")
                                                            : json()},
                       {"bound_by", of.most > 0 ? json(to_string(of.bound_by)) : json()},
                       {"edges_busy", of.edge_cores > 0 ? json(of.edge_busy) : json()},
                       {"edges_cores", of.edge_cores > 0 ? json(of.edge_cores) : json()},
                       {"signatures_per_second", of.most_signs > 0 ? json(of.signs) : json()},
                       {"most_signatures_per_second", of.most_signs > 0 ? json(of.most_signs) : json()}});
  }
  for (const auto& loss : report.after)
    after.push_back({{"regions_failed", loss.failed},
                     {"cores", loss.cores},
                     {"utilisation", loss.utilisation},
                     {"waiting", loss.waiting},
                     {"headroom", loss.headroom},
                     {"bound_by", to_string(loss.bound_by)},
                     {"bound_utilisation", loss.bound_utilisation}});
  const auto seconds = [](const std::optional<Duration>& until) {
    return until ? json(until->count() / 1'000'000) : json();
  };
  return {{"requests_per_second", report.rate},
          {"busy", report.busy},
          {"cores", report.cores},
          {"peak_busy", report.peak},
          {"watched_seconds", report.watched.count() / 1'000'000},
          {"processor_seconds_per_request", report.per_request ? json(*report.per_request) : json()},
          {"idle_busy", report.idle_known ? json(report.idle) : json()},
          {"regions_may_fail",
           {{"now", report.regions_now},
            {"peak", report.regions_peak},
            {"by_majority", report.regions_by_majority},
            {"bound_by", to_string(report.bound_by)}}},
          {"zones_may_fail", {{"now", report.zones_now}, {"peak", report.zones_peak}}},
          {"after", std::move(after)},
          {"trend_known", report.trend_known},
          {"seconds_until_n1_is_lost", seconds(report.until_n1)},
          {"seconds_until_n2_is_lost", seconds(report.until_n2)},
          {"regions", std::move(regions)}};
}

}  // namespace

void mount_capacity(Router& router, const Rest& rest, recovery::Cluster cluster,
                    std::function<recovery::CapacityReport()> report) {
  router.add("GET", "/v1/capacity",
             [&rest, cluster = std::move(cluster), report = std::move(report)](net::HttpRequest request,
                                                                               auto) -> Task<net::HttpResponse> {
               if (auto refused = rest.refuse(request, Role::kReader)) co_return std::move(*refused);
               co_return net::json_response(200, describe(report(), cluster).dump());
             });
}

}  // namespace evercert::api
