// SPDX-License-Identifier: Apache-2.0
#include "config/edge_settings.h"

#include <algorithm>
#include <utility>

#include "pki/names.h"

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

Status read_texts(const YamlReader& in, const YAML::Node& map, const char* key, std::vector<std::string>& out) {
  if (!map[key]) return {};
  EC_TRY(in.is_list(map[key], key));
  for (const auto& entry : map[key]) {
    if (!entry.IsScalar()) return in.wrong(entry, std::string("'") + key + "' must be a list of texts");
    out.push_back(entry.Scalar());
  }
  return {};
}

// As an edge of that region would put it to use.
Status check_edge_name(const YamlReader& in, const YAML::Node& at, const std::string& name, const std::string& region,
                       bool of_cluster) {
  if (name.starts_with("*."))
    return in.wrong(at, "'" + name + "': a wildcard is proved in DNS alone, which an edge does not do: list the names");
  const std::string example = edge_name(name, region, 1);
  if (!pki::check_name({pki::NameKind::kIp, example})) {
    if (const Status sound = pki::check_name({pki::NameKind::kDns, example}); !sound)
      return in.wrong(at, "'" + name + "': " + sound.error().message);
  } else if (!of_cluster) {
    return in.wrong(at, "'" + name +
                            "': addresses are certified by the cluster's own directory alone, since other regions' "
                            "edges would not trust anybody else");
  }
  return {};
}

Status read_acme(const YamlReader& in, const YAML::Node& node, const std::vector<RegionConfig>& regions,
                 EdgeSettings::Acme& out) {
  EC_TRY(in.only(node, "acme", {"names", "directory", "trust", "contacts", "key", "challenge"}));
  EC_TRY(in.required(node, "acme", {"names"}));
  EC_TRY(in.text(node, "directory", out.directory));
  EC_TRY(in.text(node, "trust", out.trust));
  EC_TRY(in.text(node, "key", out.key));
  EC_TRY(read_texts(in, node, "names", out.names));
  EC_TRY(read_texts(in, node, "contacts", out.contacts));
  if (out.names.empty()) return in.wrong(node["names"], "'names' must have one at least");
  for (std::size_t i = 0; i < out.names.size(); ++i) {
    for (const auto& region : regions)
      EC_TRY(check_edge_name(in, node["names"][i], out.names[i], region.name, out.directory.empty()));
  }
  if (!out.directory.empty() && !out.directory.starts_with("https://"))
    return in.wrong(node["directory"], "'directory' must be the https:// URL of an ACME directory");
  for (const auto& contact : out.contacts) {
    if (!contact.starts_with("mailto:"))
      return in.wrong(node["contacts"], "'" + contact + "' is no contact: write mailto:NAME@HOST");
  }
  if (out.key != "p256" && out.key != "p384" && out.key != "rsa2048")
    return in.wrong(node["key"], "unknown key '" + out.key + "': use p256, p384 or rsa2048");
  EC_TRY(in.text(node, "challenge", out.challenge));
  if (out.challenge != "http-01" && out.challenge != "tls-alpn-01")
    return in.wrong(node["challenge"], "unknown challenge '" + out.challenge + "': use http-01 or tls-alpn-01");
  const bool address = std::any_of(out.names.begin(), out.names.end(), [](const std::string& name) {
    return pki::check_name({pki::NameKind::kIp, edge_name(name, "r", 1)}).has_value();
  });
  if (out.challenge == "tls-alpn-01" && address)
    return in.wrong(node["challenge"], "addresses among 'names' are proved by http-01 alone");
  return {};
}

}  // namespace

std::string edge_name(std::string name, const std::string& region, int number) {
  for (const auto& [word, value] : {std::pair{std::string("{region}"), region}, {"{number}", std::to_string(number)}}) {
    for (auto at = name.find(word); at != std::string::npos; at = name.find(word, at + value.size()))
      name.replace(at, word.size(), value);
  }
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return name;
}

Status read_edge_settings(const YamlReader& in, const YAML::Node& node, const std::vector<RegionConfig>& regions,
                          EdgeSettings& out) {
  EC_TRY(in.only(node, "edge",
                 {"threads", "busy_poll_us", "in_flight", "most_waiting", "rate_limits", "canary", "acme", "sticky",
                  "largest_body_mb"}));
  EC_TRY(in.integer(node, "threads", 1, 64, out.threads));
  EC_TRY(in.integer(node, "busy_poll_us", 0, 100'000, out.busy_poll_us));
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
  EC_TRY(in.number(node, "largest_body_mb", 0.25, 1 << 20, out.largest_body_mb));
  EC_TRY(in.text(node, "sticky", out.sticky));
  if (out.sticky != "off" && out.sticky != "acme" && out.sticky != "all")
    return in.wrong(node["sticky"], "'sticky' must be off, acme or all: whose requests come to one node");
  if (node["acme"]) EC_TRY(read_acme(in, node["acme"], regions, out.acme));
  if (node["canary"]) EC_TRY(read_canary(in, node["canary"], regions, out));
  return {};
}

}  // namespace evercert::config
