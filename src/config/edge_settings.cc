// SPDX-License-Identifier: Apache-2.0
#include "config/edge_settings.h"

#include <algorithm>

namespace evercert::config {
namespace {

Status read_rate(const YamlReader& in, const YAML::Node& limits, const char* scope, EdgeSettings::Rate& out) {
  if (!limits[scope]) return {};
  const YAML::Node node = limits[scope];
  EC_TRY(in.only(node, scope, {"per_second", "burst"}));
  EC_TRY(in.required(node, scope, {"per_second"}));
  EC_TRY(in.number(node, "per_second", 0.01, 1e7, out.per_second));
  out.burst = std::max(1.0, out.per_second * 5);
  EC_TRY(in.number(node, "burst", 1, 1e8, out.burst));
  return {};
}

Status read_canary(const YamlReader& in, const YAML::Node& node, const std::vector<RegionConfig>& regions,
                   EdgeSettings& out) {
  EC_TRY(in.only(node, "canary", {"zones", "percent"}));
  EC_TRY(in.required(node, "canary", {"zones", "percent"}));
  EC_TRY(in.is_list(node["zones"], "zones"));
  for (const auto& entry : node["zones"]) {
    int zone = 0;
    try {
      zone = entry.as<int>();
    } catch (const YAML::Exception&) {
      return in.wrong(entry, "'zones' must be a list of numbers of zones");
    }
    const bool known = std::any_of(regions.begin(), regions.end(), [&](const RegionConfig& region) {
      return std::any_of(region.nodes.begin(), region.nodes.end(), [&](const auto& n) { return n.zone == zone; });
    });
    if (!known) return in.wrong(entry, "no region has a node in zone " + std::to_string(zone));
    out.canary_zones.push_back(zone);
  }
  EC_TRY(in.number(node, "percent", 0, 100, out.canary_percent));
  return {};
}

}  // namespace

Status read_edge_settings(const YamlReader& in, const YAML::Node& node, const std::vector<RegionConfig>& regions,
                          EdgeSettings& out) {
  EC_TRY(in.only(node, "edge", {"threads", "in_flight", "most_waiting", "rate_limits", "canary"}));
  EC_TRY(in.integer(node, "threads", 1, 64, out.threads));
  EC_TRY(in.integer(node, "most_waiting", 1, 100'000, out.most_waiting));
  if (const YAML::Node in_flight = node["in_flight"]) {
    EC_TRY(in.only(in_flight, "in_flight", {"initial", "slack_ms"}));
    EC_TRY(in.integer(in_flight, "initial", 2, 1000, out.in_flight_initial));
    EC_TRY(in.number(in_flight, "slack_ms", 1, 10'000, out.slack_ms));
  }
  if (const YAML::Node limits = node["rate_limits"]) {
    EC_TRY(in.only(limits, "rate_limits", {"client", "prefix", "account", "loopback"}));
    EC_TRY(read_rate(in, limits, "client", out.client));
    EC_TRY(read_rate(in, limits, "prefix", out.prefix));
    EC_TRY(read_rate(in, limits, "account", out.account));
    EC_TRY(in.flag(limits, "loopback", out.limit_loopback));
  }
  if (node["canary"]) EC_TRY(read_canary(in, node["canary"], regions, out));
  return {};
}

}  // namespace evercert::config
