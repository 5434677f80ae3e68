// SPDX-License-Identifier: Apache-2.0
#include "config/spec_documents.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace evercert::config {
namespace {

constexpr std::array<std::string_view, 9> kLevels{"ONE",          "TWO",         "THREE",     "QUORUM", "ALL",
                                                  "LOCAL_QUORUM", "EACH_QUORUM", "LOCAL_ONE", "SERIAL"};

Status check_level(const YamlReader& in, const YAML::Node& map, const char* key) {
  const auto level = map[key].as<std::string>();
  if (std::find(kLevels.begin(), kLevels.end(), level) != kLevels.end()) return {};
  return in.wrong(map[key],
                  "unknown consistency level '" + level + "': use LOCAL_QUORUM for reads and EACH_QUORUM for writes");
}

Status read_routing(const YamlReader& in, const YAML::Node& node, LoadBalancerConfig& out) {
  EC_TRY(in.only(node, "routing_policy", {"type", "weights"}));
  EC_TRY(in.text(node, "type", out.policy));
  constexpr std::array<std::string_view, 4> policies{"weighted_latency", "weighted", "latency", "geographic"};
  if (std::find(policies.begin(), policies.end(), out.policy) == policies.end()) {
    return in.wrong(node["type"], "unknown routing policy '" + out.policy +
                                      "': use weighted_latency, weighted, latency or geographic");
  }
  if (!node["weights"]) return {};
  EC_TRY(in.is_map(node["weights"], "weights"));
  double sum = 0;
  for (const auto& entry : node["weights"]) {
    double weight = 0;
    EC_TRY(in.number(node["weights"], entry.first.as<std::string>().c_str(), 0, 1e6, weight));
    out.weights[region_name(entry.first.as<std::string>())] = weight;
    sum += weight;
  }
  if (sum <= 0) return in.wrong(node["weights"], "all weights are 0: give at least one region some traffic");
  return {};
}

}  // namespace

std::string region_name(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return key;
}

Result<LoadBalancerConfig> read_load_balancer(const YamlReader& in, const YAML::Node& node) {
  LoadBalancerConfig out;
  EC_TRY(in.only(node, "global_load_balancer", {"type", "health_checks", "routing_policy", "failover", "endpoints"}));
  std::string type = "geo_dns";
  EC_TRY(in.text(node, "type", type));
  if (type != "geo_dns") return in.wrong(node["type"], "unknown type '" + type + "': use geo_dns");
  if (const YAML::Node checks = node["health_checks"]) {
    EC_TRY(in.only(checks, "health_checks", {"interval", "timeout", "unhealthy_threshold", "healthy_threshold"}));
    EC_TRY(in.integer(checks, "interval", 1, 3600, out.check_interval_seconds));
    EC_TRY(in.integer(checks, "timeout", 1, 3600, out.check_timeout_seconds));
    EC_TRY(in.integer(checks, "unhealthy_threshold", 1, 100, out.unhealthy_threshold));
    EC_TRY(in.integer(checks, "healthy_threshold", 1, 100, out.healthy_threshold));
    if (out.check_timeout_seconds > out.check_interval_seconds) {
      return in.wrong(checks, "the timeout is longer than the interval: checks would overlap");
    }
  }
  if (const YAML::Node routing = node["routing_policy"]) EC_TRY(read_routing(in, routing, out));
  if (const YAML::Node failover = node["failover"]) {
    EC_TRY(in.only(failover, "failover", {"detection_time", "failover_threshold"}));
    EC_TRY(in.integer(failover, "detection_time", 1, 3600, out.detection_seconds));
    std::string threshold = "50%_unhealthy";
    EC_TRY(in.text(failover, "failover_threshold", threshold));
    const auto parsed = std::from_chars(threshold.data(), threshold.data() + threshold.size(), out.failover_percent);
    if (parsed.ec != std::errc{} || std::string_view(parsed.ptr) != "%_unhealthy" || out.failover_percent < 1 ||
        out.failover_percent > 100) {
      return in.wrong(failover["failover_threshold"], "write the threshold as '50%_unhealthy', with 1 to 100 per cent");
    }
  }
  if (const YAML::Node endpoints = node["endpoints"]) {
    EC_TRY(in.is_list(endpoints, "endpoints"));
    for (const auto& entry : endpoints) {
      EC_TRY(in.only(entry, "endpoints", {"region", "endpoint", "priority", "weight"}));
      EC_TRY(in.required(entry, "endpoints", {"region", "endpoint"}));
      LoadBalancerConfig::Endpoint endpoint;
      EC_TRY(in.text(entry, "region", endpoint.region));
      EC_TRY(in.text(entry, "endpoint", endpoint.endpoint));
      EC_TRY(in.integer(entry, "priority", 0, 1000, endpoint.priority));
      EC_TRY(in.integer(entry, "weight", 0, 1000000, endpoint.weight));
      for (const auto& other : out.endpoints) {
        if (other.region == endpoint.region)
          return in.wrong(entry["region"], "region '" + endpoint.region + "' has two endpoints: remove one");
      }
      out.endpoints.push_back(std::move(endpoint));
    }
  }
  return out;
}

Result<CassandraConfig> read_cassandra(const YamlReader& in, const YAML::Node& node) {
  CassandraConfig out;
  EC_TRY(in.only(node, "cassandra",
                 {"cluster_name", "datacenters", "keyspace_replication", "consistency_levels", "cross_dc_latency_aware",
                  "prefer_local"}));
  EC_TRY(in.required(node, "cassandra", {"cluster_name", "datacenters"}));
  EC_TRY(in.text(node, "cluster_name", out.cluster_name));
  EC_TRY(in.is_map(node["datacenters"], "datacenters"));
  for (const auto& entry : node["datacenters"]) {
    CassandraConfig::Datacenter datacenter;
    datacenter.region = region_name(entry.first.as<std::string>());
    EC_TRY(in.only(entry.second, entry.first.as<std::string>(), {"replication_factor", "nodes"}));
    EC_TRY(in.integer(entry.second, "replication_factor", 1, 64, datacenter.replication_factor));
    if (const YAML::Node nodes = entry.second["nodes"]) {
      EC_TRY(in.is_list(nodes, "nodes"));
      for (const auto& host : nodes) datacenter.nodes.push_back(host.as<std::string>());
      if (static_cast<int>(datacenter.nodes.size()) < datacenter.replication_factor) {
        return in.wrong(nodes, "fewer nodes than the replication factor: add nodes or lower it");
      }
    }
    out.datacenters.push_back(std::move(datacenter));
  }
  if (const YAML::Node replication = node["keyspace_replication"]) {
    EC_TRY(in.is_map(replication, "keyspace_replication"));
    EC_TRY(in.text(replication, "strategy", out.strategy));
    for (const auto& entry : replication) {
      const auto key = entry.first.as<std::string>();
      if (key == "strategy") continue;
      const auto known = std::find_if(out.datacenters.begin(), out.datacenters.end(),
                                      [&](const auto& d) { return d.region == region_name(key); });
      if (known == out.datacenters.end())
        return in.wrong(entry.first, "'" + key + "' is no data centre of this document: mend the name");
      int factor = 0;
      EC_TRY(in.integer(replication, key.c_str(), 1, 64, factor));
      if (factor != known->replication_factor)
        return in.wrong(entry.second, "differs from the data centre's replication_factor: make them equal");
    }
  }
  if (const YAML::Node levels = node["consistency_levels"]) {
    EC_TRY(in.only(levels, "consistency_levels", {"read", "write"}));
    EC_TRY(in.required(levels, "consistency_levels", {"read", "write"}));
    EC_TRY(check_level(in, levels, "read"));
    EC_TRY(check_level(in, levels, "write"));
    EC_TRY(in.text(levels, "read", out.read_level));
    EC_TRY(in.text(levels, "write", out.write_level));
  }
  EC_TRY(in.flag(node, "cross_dc_latency_aware", out.latency_aware));
  EC_TRY(in.flag(node, "prefer_local", out.prefer_local));
  return out;
}

}  // namespace evercert::config
