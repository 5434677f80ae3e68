// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/settings.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "base/os/system.h"
#include "config/paths.h"

namespace evercert::traffic::dns {
namespace {

using config::ClusterConfig;
using config::LoadBalancerConfig;

Result<std::string> contents(const std::string& path) {
  auto text = read_file(os::disk(), path);
  if (!text) return fail(Code::kNotFound, path + ": cannot be read: " + text.error().message);
  return text;
}

// "path:line: " of the first line that has `word`; "path: " when none has, as when the file was read in another shape.
std::string place_of(const std::string& path, const std::string& text, const std::string& word) {
  const auto at = text.find(word);
  if (word.empty() || at == std::string::npos) return path + ": ";
  return path + ":" +
         std::to_string(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1) + ": ";
}

struct Assignment {
  std::string name, value;
};
Result<Assignment> assignment(const std::string& word, const std::string& option, const std::string& shape) {
  const auto equals = word.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == word.size())
    return fail(Code::kInvalid, option + " '" + word + "': write it as " + shape);
  return Assignment{word.substr(0, equals), word.substr(equals + 1)};
}

Result<std::vector<IpAddress>> addresses_of(const std::string& list) {
  std::vector<IpAddress> addresses;
  for (std::size_t begin = 0; begin <= list.size();) {
    const auto end = std::min(list.find(',', begin), list.size());
    EC_ASSIGN(const IpAddress address, parse_address(std::string_view(list).substr(begin, end - begin)));
    addresses.push_back(address);
    begin = end + 1;
  }
  return addresses;
}

std::string names_of(const std::vector<RegionFacts>& regions) {
  std::string names;
  for (const auto& region : regions) names += (names.empty() ? "" : ", ") + region.name;
  return names;
}

Result<RegionFacts*> region_named(std::vector<RegionFacts>& regions, const std::string& name,
                                  const std::string& option) {
  for (RegionFacts& region : regions) {
    if (region.name == name) return &region;
  }
  return fail(Code::kInvalid, option + ": no endpoint is in a region '" + name + "': use one of " + names_of(regions));
}

Policy policy_of(const std::string& name) {
  if (name == "weighted") return Policy::kWeighted;
  if (name == "latency") return Policy::kLatency;
  if (name == "geographic") return Policy::kGeographic;
  return Policy::kWeightedLatency;
}

// "us-east-1/2" of the option `word`.
Result<std::pair<RegionFacts*, EdgeFacts*>> edge_named(std::vector<RegionFacts>& regions, const std::string& name,
                                                       const std::string& option, const std::string& word) {
  const auto slash = name.find('/');
  EC_ASSIGN(RegionFacts * region, region_named(regions, name.substr(0, slash), option));
  for (std::size_t e = 1; e <= region->edges.size(); ++e) {
    if (name.substr(std::min(slash, name.size())) == "/" + std::to_string(e))
      return std::pair(region, &region->edges[e - 1]);
  }
  return fail(Code::kInvalid, option + " '" + word + "': region " + region->name + " has edges 1 to " +
                                  std::to_string(region->edges.size()) + ": write " + region->name + "/1" +
                                  (name == word ? "" : "=..."));
}

Status take_addresses(const Words& words, std::vector<RegionFacts>& regions) {
  for (const std::string& word : words.addresses) {
    EC_ASSIGN(const auto given, assignment(word, "--address", "us-east-1/1=203.0.113.7,2001:db8::7"));
    EC_ASSIGN(const auto named, edge_named(regions, given.name, "--address", word));
    auto addresses = addresses_of(given.value);
    if (!addresses) return fail(addresses.error(), "--address '" + word + "'");
    named.second->addresses = std::move(*addresses);
  }
  return {};
}

Status take_coordinates(const Words& words, std::vector<RegionFacts>& regions) {
  for (RegionFacts& region : regions) region.coordinates = well_known_coordinates(region.name);
  for (const std::string& word : words.coordinates) {
    EC_ASSIGN(const auto given, assignment(word, "--coordinates", "us-east-1=38.95,-77.45"));
    EC_ASSIGN(RegionFacts * region, region_named(regions, given.name, "--coordinates"));
    region->coordinates = parse_coordinates(given.value);
    if (!region->coordinates)
      return fail(Code::kInvalid, "--coordinates '" + word + "': write latitude and longitude in degrees, as in " +
                                      "us-east-1=38.95,-77.45");
  }
  if (words.geo_file.empty()) return {};
  for (const RegionFacts& region : regions) {
    if (!region.coordinates)
      return fail(Code::kInvalid, "where region '" + region.name + "' lies is not known: add --coordinates " +
                                      region.name + "=LATITUDE,LONGITUDE");
  }
  return {};
}

Result<std::unique_ptr<Geography>> geography_of(const Words& words, const std::vector<RegionFacts>& regions) {
  if (!words.geo_file.empty() && !words.table_file.empty())
    return fail(Code::kInvalid, "--geo and --geo-table exclude each other: leave one out");
  if (!words.geo_file.empty()) return open_geography_database(words.geo_file);
  if (words.table_file.empty()) return no_geography();
  EC_ASSIGN(const std::string text, contents(words.table_file));
  std::vector<std::string> names;
  for (const auto& region : regions) names.push_back(region.name);
  return read_geography_table(words.table_file, text, names);
}

Result<ZoneOptions> zone_of(const Words& words, const ClusterConfig& cluster, const std::vector<RegionFacts>& regions,
                            const std::vector<SocketAddress>& listen, WallTime now) {
  ZoneOptions zone;
  for (const RegionFacts& region : regions) zone.endpoints.push_back(region.endpoint);
  if (words.zone.empty()) {
    EC_ASSIGN(zone.name, common_zone(zone.endpoints));
  } else {
    EC_ASSIGN(zone.name, absolute_name(words.zone));
  }
  for (const std::string& word : words.name_servers) {
    NameServer server;
    const auto equals = word.find('=');
    auto name = absolute_name(word.substr(0, equals));
    if (!name) return fail(name.error(), "--name-server");
    server.name = std::move(*name);
    if (equals != std::string::npos) {
      auto addresses = addresses_of(word.substr(equals + 1));
      if (!addresses) return fail(addresses.error(), "--name-server '" + word + "'");
      server.addresses = std::move(*addresses);
    }
    zone.name_servers.push_back(std::move(server));
  }
  if (zone.name_servers.empty()) {
    NameServer own{"ns1." + zone.name, {}};
    for (const SocketAddress& address : listen) {
      if (!is_any(address.address)) own.addresses.push_back(address.address);
    }
    if (own.addresses.empty())
      return fail(Code::kInvalid,
                  "the name server's address cannot be told from --listen: add --name-server " + own.name + "=ADDRESS");
    zone.name_servers.push_back(std::move(own));
  }
  EC_ASSIGN(zone.contact, absolute_name(words.contact.empty() ? "hostmaster." + zone.name : words.contact));
  if (!cluster.caa_identity.empty()) zone.caa.push_back("0 issue \"" + cluster.caa_identity + "\"");
  zone.ttl = words.ttl;
  zone.first_serial = static_cast<std::uint32_t>(now.seconds());
  return zone;
}

Result<std::unique_ptr<Signer>> signer_of(const Words& words, const ZoneOptions& zone) {
  if (words.key_file.empty()) return std::unique_ptr<Signer>();
  EC_ASSIGN(const std::string pem, contents(words.key_file));
  struct stat facts {};
  if (::stat(words.key_file.c_str(), &facts) != 0 || (facts.st_mode & 077) != 0)
    return fail(Code::kInvalid, words.key_file + ": others may read this private key: chmod 600 " + words.key_file);
  return Signer::create(pem, words.key_file, zone.name, zone.static_ttl);
}

RateLimits limits_of(double answers) {
  RateLimits limits;
  // In proportion to the defaults.
  const double share = answers / limits.answers;
  for (double* limit : {&limits.answers, &limits.negatives, &limits.errors, &limits.work}) *limit *= share;
  return limits;
}

}  // namespace

Result<std::vector<RegionFacts>> regions_of(const ClusterConfig& cluster, const LoadBalancerConfig& balancer,
                                            const std::function<std::string(const std::string&)>& where) {
  if (balancer.endpoints.empty())
    return fail(Code::kInvalid, where("") + "global_load_balancer names no endpoints: add one for each region");
  if (balancer.endpoints.size() > kMostRegions)
    return fail(Code::kInvalid, where("") + "more than " + std::to_string(kMostRegions) + " endpoints");
  std::vector<RegionFacts> regions;
  for (const auto& endpoint : balancer.endpoints) {
    const std::string at = where(endpoint.region);
    const auto* region = cluster.region(endpoint.region);
    if (region == nullptr)
      return fail(Code::kInvalid, at + "endpoint for '" + endpoint.region + "', which is not among the regions of " +
                                      cluster.path + ": add the region there or remove the endpoint");
    if (region->removed || region->edges.empty() || region->edges.size() > kMostEdges)
      return fail(Code::kInvalid, at + "region '" + endpoint.region + "' has no edges (or more than " +
                                      std::to_string(kMostEdges) + ") in " + cluster.path + ": remove the endpoint");
    RegionFacts facts;
    facts.name = region->name;
    auto name = absolute_name(endpoint.endpoint);
    if (!name) return fail(name.error(), where(endpoint.endpoint));
    facts.endpoint = std::move(*name);
    facts.priority = endpoint.priority;
    double share = 1;
    if (!balancer.weights.empty()) {
      const auto weight = balancer.weights.find(region->name);
      if (weight == balancer.weights.end())
        return fail(Code::kInvalid, where("weights") + "routing_policy.weights says nothing of '" + region->name +
                                        "', which has an endpoint: add it (0: only when no other is left)");
      share = weight->second;
    }
    facts.weight = share * endpoint.weight;
    for (const auto& edge : region->edges) {
      EC_ASSIGN(const IpAddress address, parse_address(edge.address));
      facts.edges.push_back({{address}, edge.https_port, edge.spare});
    }
    regions.push_back(std::move(facts));
  }
  return regions;
}

Result<ServerOptions> server_options(const Words& words, WallTime now) {
  EC_ASSIGN(ClusterConfig cluster, config::load_cluster(words.cluster_file));
  const std::string file = words.load_balancer_file.empty() ? words.cluster_file : words.load_balancer_file;
  std::optional<LoadBalancerConfig> balancer = cluster.load_balancer;
  if (!words.load_balancer_file.empty()) {
    EC_ASSIGN(config::Document document, config::load(file));
    balancer = document.cluster ? document.cluster->load_balancer : document.load_balancer;
  }
  if (!balancer)
    return fail(Code::kInvalid, file + ":1: there is no global_load_balancer in it: add it, or name a file that has " +
                                    "one with --load-balancer");
  EC_ASSIGN(const std::string text, contents(file));
  ServerOptions options;
  EC_ASSIGN(options.regions,
            regions_of(cluster, *balancer, [&](const std::string& word) { return place_of(file, text, word); }));
  const config::Paths paths(cluster.dir);
  for (const RegionFacts& region : options.regions) {
    options.checks.edges.emplace_back();
    for (const auto& edge : cluster.region(region.name)->edges)
      options.checks.edges.back().push_back({edge.address, edge.https_port, true, edge.address});
  }
  options.checks.tls.ca_bundle = paths.root_certificate();
  const CheckSettings settings{std::chrono::seconds(balancer->check_interval_seconds),
                               std::chrono::seconds(balancer->check_timeout_seconds), balancer->unhealthy_threshold,
                               std::chrono::seconds(balancer->detection_seconds)};
  options.checks.plan = plan_checks(settings);
  if (options.checks.plan.shortened)
    log_warning("dns: interval and timeout of the health checks cannot keep detection_time: checks begin every " +
                std::to_string(options.checks.plan.interval / 1ms) + " ms and wait " +
                std::to_string(options.checks.plan.timeout / 1ms) + " ms");
  options.rules.thresholds = {balancer->unhealthy_threshold, balancer->healthy_threshold};
  options.rules.failover_percent = balancer->failover_percent;
  options.rules.memory = settings.detection_time;
  options.policy = policy_of(balancer->policy);
  EC_TRY(take_addresses(words, options.regions));
  EC_TRY(take_coordinates(words, options.regions));
  EC_ASSIGN(options.geography, geography_of(words, options.regions));
  for (const std::string& word : words.listen) {
    auto address = parse_socket_address(word);
    if (!address) return fail(address.error(), "--listen");
    options.listen.push_back(*address);
  }
  auto status = parse_socket_address(words.status);
  if (!status) return fail(status.error(), "--status");
  options.status = *status;
  if (!words.powerdns.empty()) {
    auto powerdns = parse_socket_address(words.powerdns);
    if (!powerdns) return fail(powerdns.error(), "--powerdns");
    options.powerdns = *powerdns;
  }
  EC_ASSIGN(options.zone, zone_of(words, cluster, options.regions, options.listen, now));
  EC_ASSIGN(options.signer, signer_of(words, options.zone));
  if (!words.records_file.empty()) {
    options.records_path = words.records_file;
    EC_ASSIGN(options.records, contents(words.records_file));
  }
  options.responder = {words.nsid, static_cast<std::size_t>(words.answers)};
  options.limits = limits_of(words.rate_limit);
  options.threads = words.threads;
  return options;
}

}  // namespace evercert::traffic::dns
