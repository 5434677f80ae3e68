// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "base/encoding.h"
#include "config/edge_settings.h"
#include "config/spec_documents.h"
#include "config/yaml_reader.h"

namespace evercert::config {
namespace {

Status check_address(const YamlReader& in, const YAML::Node& node, const std::string& address) {
  unsigned char out[16];
  if (inet_pton(AF_INET, address.c_str(), out) == 1) return {};
  return in.wrong(node, "'" + address + "' is not an IPv4 address");
}

Status claim(const YamlReader& in, const YAML::Node& node, std::set<std::string>& taken, const std::string& address,
             std::uint16_t port) {
  if (taken.insert(address + ":" + std::to_string(port)).second) return {};
  return in.wrong(
      node, "address " + address + " port " + std::to_string(port) + " is used twice: give one of them another port");
}

// Of a witness: it is asked for its state, and by its peers.
Result<NodeConfig> read_witness_node(const YamlReader& in, const YAML::Node& node, RegionId region,
                                     std::set<std::string>& taken) {
  NodeConfig out;
  EC_TRY(in.only(node, "nodes of a witness", {"zone", "address", "status_port", "peer_port"}));
  EC_TRY(in.required(node, "nodes of a witness", {"zone", "address", "status_port", "peer_port"}));
  EC_TRY(in.integer(node, "zone", 1, 9, out.zone));
  EC_TRY(in.text(node, "address", out.address));
  EC_TRY(check_address(in, node["address"], out.address));
  EC_TRY(in.integer(node, "status_port", 1, 65535, out.status_port));
  EC_TRY(in.integer(node, "peer_port", 1, 65535, out.peer_port));
  for (const auto port : {out.status_port, out.peer_port}) EC_TRY(claim(in, node, taken, out.address, port));
  out.coordination_port = 0;
  out.id = node_id(region, static_cast<std::uint8_t>(out.zone));
  return out;
}

Result<NodeConfig> read_node(const YamlReader& in, const YAML::Node& node, RegionId region,
                             std::set<std::string>& taken) {
  NodeConfig out;
  EC_TRY(
      in.only(node, "nodes",
              {"zone", "address", "link_port", "api_port", "status_port", "peer_port", "coordination_port", "spare"}));
  EC_TRY(in.required(node, "nodes", {"zone", "address", "link_port", "api_port", "status_port", "peer_port"}));
  EC_TRY(in.integer(node, "zone", 1, 9, out.zone));
  EC_TRY(in.text(node, "address", out.address));
  EC_TRY(check_address(in, node["address"], out.address));
  EC_TRY(in.integer(node, "link_port", 1, 65535, out.link_port));
  EC_TRY(in.integer(node, "api_port", 1, 65535, out.api_port));
  EC_TRY(in.integer(node, "status_port", 1, 65535, out.status_port));
  EC_TRY(in.integer(node, "peer_port", 1, 65535, out.peer_port));
  EC_TRY(in.integer(node, "coordination_port", 1, 65535, out.coordination_port));
  EC_TRY(in.flag(node, "spare", out.spare));
  for (const auto port : {out.link_port, out.api_port, out.status_port, out.peer_port, out.coordination_port})
    EC_TRY(claim(in, node, taken, out.address, port));
  out.id = node_id(region, static_cast<std::uint8_t>(out.zone));
  return out;
}

Result<RegionConfig> read_region(const YamlReader& in, const YAML::Node& node, RegionId id,
                                 std::set<std::string>& taken) {
  RegionConfig out;
  out.id = id;
  EC_TRY(in.only(node, "regions", {"name", "edges", "nodes", "hsm", "removed", "witness"}));
  EC_TRY(in.flag(node, "removed", out.removed));
  EC_TRY(in.flag(node, "witness", out.witness));
  EC_TRY(in.required(node, "regions", {"name"}));
  EC_TRY(in.text(node, "name", out.name));
  for (const char* key : {"edges", "hsm"}) {
    if (out.witness && node[key])
      return in.wrong(node[key], "region '" + out.name + "' is a witness, which has neither edges nor keys: leave '" +
                                     key + "' out");
  }
  if (!out.removed) EC_TRY(in.required(node, "regions", {"nodes"}));
  if (!out.removed && !out.witness) EC_TRY(in.required(node, "regions", {"edges"}));
  if (node["edges"]) EC_TRY(in.is_list(node["edges"], "edges"));
  for (const auto& entry : node["edges"]) {
    EdgeConfig edge;
    EC_TRY(
        in.only(entry, "edges", {"address", "https_port", "http_port", "proxies", "connections_per_client", "spare"}));
    EC_TRY(in.required(entry, "edges", {"address", "https_port", "http_port"}));
    EC_TRY(in.text(entry, "address", edge.address));
    EC_TRY(check_address(in, entry["address"], edge.address));
    EC_TRY(in.integer(entry, "https_port", 1, 65535, edge.https_port));
    EC_TRY(in.integer(entry, "http_port", 1, 65535, edge.http_port));
    for (const auto port : {edge.https_port, edge.http_port}) EC_TRY(claim(in, entry, taken, edge.address, port));
    EC_TRY(in.integer(entry, "connections_per_client", 1, 1'000'000, edge.connections_per_client));
    EC_TRY(in.flag(entry, "spare", edge.spare));
    if (entry["proxies"]) EC_TRY(in.is_list(entry["proxies"], "proxies"));
    for (const auto& prefix : entry["proxies"]) {
      auto parsed = AddressPrefix::parse(prefix.IsScalar() ? prefix.Scalar() : "");
      if (!parsed) return in.wrong(prefix, parsed.error().message);
      edge.proxies.push_back(*parsed);
    }
    out.edges.push_back(std::move(edge));
  }
  if (!out.edges.empty() && std::ranges::all_of(out.edges, &EdgeConfig::spare))
    return in.wrong(node["edges"], "all edges of region '" + out.name + "' are spare: one at least runs all the time");
  if (node["nodes"]) EC_TRY(in.is_list(node["nodes"], "nodes"));
  for (const auto& entry : node["nodes"]) {
    EC_ASSIGN(auto one, out.witness ? read_witness_node(in, entry, id, taken) : read_node(in, entry, id, taken));
    for (const auto& other : out.nodes) {
      if (other.zone == one.zone)
        return in.wrong(entry["zone"], "zone " + std::to_string(one.zone) + " stands here twice: one node per zone");
    }
    out.nodes.push_back(std::move(one));
  }
  if (!out.nodes.empty() && out.nodes.front().spare)
    return in.wrong(node["nodes"], "the first node of region '" + out.name +
                                       "' is spare, and is the one that starts those that are: put it behind one that "
                                       "runs all the time");
  if (out.witness && !out.removed && out.nodes.empty())
    return in.wrong(node, "witness '" + out.name + "' needs at least one node");
  if (!out.removed && !out.witness && (out.edges.empty() || out.nodes.empty()))
    return in.wrong(node, "region '" + out.name + "' needs at least one edge and one node");
  if (const YAML::Node hsm = node["hsm"]) {
    EC_TRY(in.only(hsm, "hsm", {"module", "token"}));
    EC_TRY(in.required(hsm, "hsm", {"module", "token"}));
    EC_TRY(in.text(hsm, "module", out.hsm_module));
    EC_TRY(in.text(hsm, "token", out.hsm_token));
  }
  return out;
}

Status read_timing(const YamlReader& in, const YAML::Node& node, Timing& out) {
  EC_TRY(in.only(node, "timing",
                 {"profile", "tick_ms", "heartbeat_ms", "election_ms", "lease_ttl_ms", "lease_renew_ms", "near_lag_ms",
                  "fence_after_ms", "readmit_after_ms"}));
  std::string profile = "wan";
  EC_TRY(in.text(node, "profile", profile));
  if (profile == "loopback") {
    out = {10ms, 30ms, 150ms, 500ms, 100ms, 250ms};
  } else if (profile != "wan") {
    return in.wrong(node["profile"], "unknown timing profile '" + profile + "': use wan or loopback");
  }
  const auto milliseconds = [&](const char* key, Duration& value) -> Status {
    std::int64_t ms = value.count() / 1000;
    EC_TRY(in.integer(node, key, 1, 600'000, ms));
    value = Duration{ms * 1000};
    return {};
  };
  EC_TRY(milliseconds("tick_ms", out.tick));
  EC_TRY(milliseconds("heartbeat_ms", out.heartbeat));
  EC_TRY(milliseconds("election_ms", out.election));
  EC_TRY(milliseconds("lease_ttl_ms", out.lease_ttl));
  EC_TRY(milliseconds("lease_renew_ms", out.lease_renew));
  EC_TRY(milliseconds("near_lag_ms", out.near_lag));
  EC_TRY(milliseconds("fence_after_ms", out.fence_after));
  EC_TRY(milliseconds("readmit_after_ms", out.readmit_after));
  if (out.heartbeat < out.tick || out.election < 3 * out.heartbeat) {
    return in.wrong(node, "election_ms must be at least three times heartbeat_ms, and heartbeat_ms at least tick_ms");
  }
  if (out.lease_ttl < 3 * out.lease_renew)
    return in.wrong(node, "lease_ttl_ms must be at least three times lease_renew_ms, or one lost message ends a lease");
  if (out.fence_after < 3 * out.lease_renew)
    return in.wrong(node,
                    "fence_after_ms must be at least three times lease_renew_ms, or a short flap fences a region");
  return {};
}

Status read_wan(const YamlReader& in, const YAML::Node& node, ClusterConfig& out) {
  EC_TRY(in.only(node, "emulated_wan", {"enabled", "links"}));
  EC_TRY(in.flag(node, "enabled", out.emulated_wan));
  if (!node["links"]) return {};
  EC_TRY(in.is_list(node["links"], "links"));
  for (const auto& entry : node["links"]) {
    WanLink link;
    EC_TRY(in.only(entry, "links", {"between", "and", "rtt_p50_ms", "rtt_p90_ms"}));
    EC_TRY(in.required(entry, "links", {"between", "and", "rtt_p50_ms", "rtt_p90_ms"}));
    EC_TRY(in.text(entry, "between", link.a));
    EC_TRY(in.text(entry, "and", link.b));
    EC_TRY(in.number(entry, "rtt_p50_ms", 0.01, 10000, link.p50_ms));
    EC_TRY(in.number(entry, "rtt_p90_ms", link.p50_ms, 10000, link.p90_ms));
    for (const auto& name : {link.a, link.b}) {
      if (out.region(name) == nullptr)
        return in.wrong(entry, "there is no region '" + name + "': name two of the regions above");
    }
    out.links.push_back(link);
  }
  return {};
}

Status read_profiles(const YamlReader& in, const YAML::Node& node, ClusterConfig& out) {
  EC_TRY(in.is_map(node, "profiles"));
  out.profiles.clear();
  for (const auto& entry : node) {
    ProfileConfig profile;
    profile.name = entry.first.as<std::string>();
    EC_TRY(in.only(entry.second, profile.name, {"usage", "validity_hours", "must_staple"}));
    EC_TRY(in.required(entry.second, profile.name, {"usage"}));
    EC_TRY(in.text(entry.second, "usage", profile.usage));
    if (profile.usage != "server" && profile.usage != "client" && profile.usage != "both") {
      return in.wrong(entry.second["usage"], "unknown usage '" + profile.usage + "': use server, client or both");
    }
    std::int64_t hours = profile.validity_seconds / 3600;
    EC_TRY(in.integer(entry.second, "validity_hours", 1, 24 * 825, hours));
    profile.validity_seconds = hours * 3600;
    EC_TRY(in.flag(entry.second, "must_staple", profile.must_staple));
    if (profile.must_staple && profile.usage == "client")
      return in.wrong(entry.second["must_staple"],
                      "'must_staple' is for what servers show: use it with usage server or both");
    out.profiles.push_back(profile);
  }
  return {};
}

Status read_services(const YamlReader& in, const YAML::Node& root, ClusterConfig& out) {
  if (const YAML::Node acme = root["acme"]) {
    EC_TRY(in.only(acme, "acme", {"http01_port", "resolver", "caa_identity", "terms_of_service"}));
    EC_TRY(in.integer(acme, "http01_port", 1, 65535, out.http01_port));
    EC_TRY(in.text(acme, "resolver", out.resolver));
    EC_TRY(in.text(acme, "caa_identity", out.caa_identity));
    if (const YAML::Node terms = acme["terms_of_service"]) {
      EC_TRY(in.only(terms, "terms_of_service", {"url", "version"}));
      EC_TRY(in.required(terms, "terms_of_service", {"url", "version"}));
      EC_TRY(in.text(terms, "url", out.terms.url));
      EC_TRY(in.text(terms, "version", out.terms.version));
      if (!out.terms.url.starts_with("https://") || out.terms.url.find_first_of(" <>\"") != std::string::npos)
        return in.wrong(terms["url"], "'url' must be an https:// URL, where people read the terms");
      if (out.terms.version.empty())
        return in.wrong(terms["version"], "'version' must not be empty: accounts agree to a version");
    }
  }
  if (const YAML::Node ocsp = root["ocsp"]) {
    EC_TRY(in.only(ocsp, "ocsp", {"validity_seconds"}));
    EC_TRY(in.integer(ocsp, "validity_seconds", 60, 7 * 86400, out.ocsp_validity_seconds));
  }
  if (const YAML::Node crl = root["crl"]) {
    EC_TRY(in.only(crl, "crl", {"interval_seconds", "validity_seconds"}));
    EC_TRY(in.integer(crl, "interval_seconds", 10, 7 * 86400, out.crl_interval_seconds));
    EC_TRY(in.integer(crl, "validity_seconds", 60, 30 * 86400, out.crl_validity_seconds));
    if (out.crl_validity_seconds <= out.crl_interval_seconds)
      return in.wrong(crl, "validity_seconds must exceed interval_seconds, or lists would run out");
  }
  if (const YAML::Node tokens = root["tokens"]) {
    EC_TRY(in.is_list(tokens, "tokens"));
    for (const auto& entry : tokens) {
      TokenConfig token;
      EC_TRY(in.only(entry, "tokens", {"name", "sha256", "role"}));
      EC_TRY(in.required(entry, "tokens", {"name", "sha256", "role"}));
      EC_TRY(in.text(entry, "name", token.name));
      EC_TRY(in.text(entry, "sha256", token.sha256_hex));
      EC_TRY(in.text(entry, "role", token.role));
      if (const auto raw = from_hex(token.sha256_hex); !raw || raw->size() != 32)
        return in.wrong(entry["sha256"],
                        "'sha256' must be 64 hexadecimal digits: the hash of the token, not the token");
      if (token.role != "operator" && token.role != "issuer" && token.role != "reader")
        return in.wrong(entry["role"], "unknown role '" + token.role + "': use operator, issuer or reader");
      out.tokens.push_back(token);
    }
  }
  return {};
}

Status read_compaction(const YamlReader& in, const YAML::Node& node, CompactionConfig& out) {
  EC_TRY(in.only(node, "compaction", {"mode", "retention_seconds", "retention_revisions"}));
  EC_TRY(in.required(node, "compaction", {"mode"}));
  EC_TRY(in.text(node, "mode", out.mode));
  if (out.mode != "off" && out.mode != "periodic" && out.mode != "revision")
    return in.wrong(node["mode"], "unknown mode '" + out.mode + "': use off, periodic or revision");
  // A retention that another mode would keep is a mistake that shows only when the past is gone.
  for (const char* key : {"retention_seconds", "retention_revisions"}) {
    const std::string mode = key == std::string("retention_seconds") ? "periodic" : "revision";
    if (node[key] && out.mode != mode)
      return in.wrong(node[key],
                      "'" + std::string(key) + "' means nothing with mode " + out.mode + ": use mode " + mode);
  }
  EC_TRY(in.integer(node, "retention_seconds", 10, 10 * 365 * 86400, out.retention_seconds));
  EC_TRY(in.integer(node, "retention_revisions", 1, 1'000'000'000'000'000, out.retention_revisions));
  return {};
}

Status read_degraded_kind(const YamlReader& in, const YAML::Node& node, const char* kind, std::int64_t longest_minutes,
                          DegradedConfig::OfKind& out) {
  if (!node[kind]) return {};
  const YAML::Node entry = node[kind];
  std::string what = out.queue ? "queue" : "refuse";
  if (entry.IsScalar()) {
    EC_TRY(in.text(node, kind, what));
  } else {
    EC_TRY(in.only(entry, kind, {"do", "expires_minutes"}));
    EC_TRY(in.required(entry, kind, {"do"}));
    EC_TRY(in.text(entry, "do", what));
    EC_TRY(in.integer(entry, "expires_minutes", 1, longest_minutes, out.expires_minutes));
  }
  if (what != "queue" && what != "refuse")
    return in.wrong(entry, std::string("unknown policy '") + what + "' for '" + kind + "': use queue or refuse");
  out.queue = what == "queue";
  return {};
}

Status read_degraded(const YamlReader& in, const YAML::Node& node, DegradedConfig& out) {
  // Idempotency keys are kept for 7 days: a repetition after that would be another issuance.
  constexpr std::int64_t kLongestIssuance = 6 * 1440, kLongestRevocation = 30 * 1440;
  EC_TRY(in.only(node, "degraded", {"revocation", "renewal", "issuance", "acme", "most_queued", "most_queued_mib"}));
  EC_TRY(read_degraded_kind(in, node, "revocation", kLongestRevocation, out.revocation));
  EC_TRY(read_degraded_kind(in, node, "renewal", kLongestIssuance, out.renewal));
  EC_TRY(read_degraded_kind(in, node, "issuance", kLongestIssuance, out.issuance));
  std::string acme = "refuse";
  EC_TRY(in.text(node, "acme", acme));
  if (acme != "refuse")
    return in.wrong(node["acme"],
                    "'acme' can only be refuse: the protocol has no answer that says 'later', its clients "
                    "repeat after Retry-After");
  EC_TRY(in.integer(node, "most_queued", 4, 1'000'000, out.most_queued));
  EC_TRY(in.integer(node, "most_queued_mib", 1, 1024, out.most_queued_mib));
  return {};
}

// Two regions at least keep records, and no majority of nodes does without one of theirs.
Status check_witnesses(const YamlReader& in, const YAML::Node& regions, const ClusterConfig& out) {
  std::size_t nodes = 0, witnessing = 0, storing = 0;
  std::optional<std::size_t> last;
  for (std::size_t r = 0; r < out.regions.size(); ++r) {
    const RegionConfig& region = out.regions[r];
    nodes += region.nodes.size();
    witnessing += region.witness ? region.nodes.size() : 0;
    storing += region.witness || region.removed ? 0 : 1;
    if (region.witness) last = r;
  }
  if (!last) return {};
  const YAML::Node place = regions[*last]["witness"];
  if (storing < 2) return in.wrong(place, "a witness needs two regions at least that keep records");
  if (witnessing > nodes / 2)
    return in.wrong(place, "witnesses would be a majority with " + std::to_string(witnessing) + " of " +
                               std::to_string(nodes) + " nodes, and they keep no records: give them fewer");
  return {};
}

// The specification's documents must speak of the regions that there are.
Status check_documents(const YamlReader& in, const YAML::Node& root, const ClusterConfig& out) {
  if (out.load_balancer) {
    for (const auto& endpoint : out.load_balancer->endpoints) {
      if (!out.region(endpoint.region))
        return in.wrong(root["global_load_balancer"],
                        "endpoint for '" + endpoint.region +
                            "', which is not among 'regions': add the region or remove the endpoint");
      if (out.region(endpoint.region)->removed)
        return in.wrong(root["global_load_balancer"],
                        "endpoint for '" + endpoint.region + "', a region that is removed: remove the endpoint too");
    }
    for (const auto& [name, weight] : out.load_balancer->weights) {
      if (!out.region(name))
        return in.wrong(root["global_load_balancer"], "a weight for '" + name + "', which is not among 'regions'");
    }
  }
  if (out.cassandra) {
    for (const auto& datacenter : out.cassandra->datacenters) {
      if (!out.region(datacenter.region))
        return in.wrong(root["cassandra"], "data centre '" + datacenter.region + "' is not among 'regions'");
    }
  }
  return {};
}

Result<ClusterConfig> read_cluster(const YamlReader& in, const YAML::Node& root, const std::string& path) {
  ClusterConfig out;
  out.path = path;
  const auto slash = path.rfind('/');
  out.dir = slash == std::string::npos ? "." : path.substr(0, slash);
  out.profiles = {{"server", "server", 90 * 86400}, {"client", "client", 90 * 86400}, {"both", "both", 90 * 86400}};
  EC_TRY(in.only(root, "configuration",
                 {"evercert", "cluster", "regions", "timing", "emulated_wan", "profiles", "acme", "ocsp", "crl",
                  "degraded", "edge", "tokens", "coordination", "global_load_balancer", "cassandra"}));
  EC_TRY(in.required(root, "configuration", {"evercert", "cluster", "regions"}));
  int version = 0;
  EC_TRY(in.integer(root, "evercert", 0, 1'000'000, version));
  if (version != 1)
    return in.wrong(root["evercert"], "configuration version " + std::to_string(version) +
                                          " is not known to this binary: it reads version 1");
  EC_TRY(in.only(root["cluster"], "cluster", {"name", "id"}));
  EC_TRY(in.required(root["cluster"], "cluster", {"name", "id"}));
  EC_TRY(in.text(root["cluster"], "name", out.name));
  std::string id;
  EC_TRY(in.text(root["cluster"], "id", id));
  const auto raw = from_hex(id);
  if (!raw || raw->size() != 16) return in.wrong(root["cluster"]["id"], "'id' must be 32 hexadecimal digits");
  out.id = *raw;
  EC_TRY(in.is_list(root["regions"], "regions"));
  std::set<std::string> taken;
  for (const auto& entry : root["regions"]) {
    if (out.regions.size() >= 25) return in.wrong(entry, "more than 25 regions");
    EC_ASSIGN(auto region, read_region(in, entry, RegionId{static_cast<std::uint8_t>(out.regions.size() + 1)}, taken));
    if (out.region(region.name)) return in.wrong(entry["name"], "region '" + region.name + "' stands here twice");
    out.regions.push_back(std::move(region));
  }
  if (std::all_of(out.regions.begin(), out.regions.end(), [](const auto& region) { return region.removed; }))
    return in.wrong(root["regions"], "at least one region is needed");
  EC_TRY(check_witnesses(in, root["regions"], out));
  if (root["timing"]) EC_TRY(read_timing(in, root["timing"], out.timing));
  if (root["emulated_wan"]) EC_TRY(read_wan(in, root["emulated_wan"], out));
  if (root["profiles"]) EC_TRY(read_profiles(in, root["profiles"], out));
  if (root["degraded"]) EC_TRY(read_degraded(in, root["degraded"], out.degraded));
  if (root["edge"]) EC_TRY(read_edge_settings(in, root["edge"], out.regions, out.edge));
  EC_TRY(read_services(in, root, out));
  if (const YAML::Node coordination = root["coordination"]) {
    EC_TRY(in.only(coordination, "coordination", {"compaction"}));
    if (coordination["compaction"]) EC_TRY(read_compaction(in, coordination["compaction"], out.compaction));
  }
  if (root["global_load_balancer"]) {
    EC_ASSIGN(out.load_balancer, read_load_balancer(in, root["global_load_balancer"]));
  }
  if (root["cassandra"]) {
    EC_ASSIGN(out.cassandra, read_cassandra(in, root["cassandra"]));
  }
  EC_TRY(check_documents(in, root, out));
  return out;
}

}  // namespace

const RegionConfig* ClusterConfig::region(const std::string& wanted) const {
  const auto found = std::find_if(regions.begin(), regions.end(), [&](const auto& r) { return r.name == wanted; });
  return found == regions.end() ? nullptr : &*found;
}

Result<const RegionConfig*> named_region(const ClusterConfig& config, const std::string& name) {
  if (const auto* found = config.region(name)) return found;
  std::string all;
  for (const auto& region : config.regions) all += (all.empty() ? "" : ", ") + region.name;
  return fail(Code::kInvalid, config.path + ": there is no region '" + name + "' (there are " + all +
                                  "): name one of these, or the cluster file that has it (--cluster)");
}

Result<const NodeConfig*> named_node(const ClusterConfig& config, const std::string& region, int zone) {
  EC_ASSIGN(const auto* found, named_region(config, region));
  std::string all;
  for (const auto& node : found->nodes) {
    if (node.zone == zone) return &node;
    all += (all.empty() ? "" : ", ") + std::to_string(node.zone);
  }
  if (found->nodes.empty())
    return fail(Code::kInvalid,
                config.path + ": region '" + region + "' was removed: its nodes are not to run any more");
  return fail(Code::kInvalid, config.path + ": region '" + region + "' has no zone " + std::to_string(zone) +
                                  " (there are " + all + "): name one of these (--zone)");
}

Result<Document> parse(const std::string& path, const std::string& text) {
  const YamlReader in(path);
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) return fail(Code::kInvalid, path + ":1:1: the file must be a map of keys and values");
    Document document;
    if (!root["evercert"] && root["global_load_balancer"] && root.size() == 1) {
      EC_ASSIGN(document.load_balancer, read_load_balancer(in, root["global_load_balancer"]));
    } else if (!root["evercert"] && root["cassandra"] && root.size() == 1) {
      EC_ASSIGN(document.cassandra, read_cassandra(in, root["cassandra"]));
    } else {
      EC_ASSIGN(document.cluster, read_cluster(in, root, path));
    }
    return document;
  } catch (const YAML::Exception& error) {
    return fail(Code::kInvalid, path + ":" + std::to_string(error.mark.line + 1) + ":" +
                                    std::to_string(error.mark.column + 1) + ": " + error.msg);
  }
}

Result<Document> load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kNotFound, path + ": no such file, or it cannot be read");
  std::ostringstream text;
  text << in.rdbuf();
  if (text.str().size() > (4u << 20))
    return fail(Code::kInvalid, path + ": larger than 4 MiB: this is no configuration");
  return parse(path, text.str());
}

Result<ClusterConfig> load_cluster(const std::string& path) {
  EC_ASSIGN(auto document, load(path));
  if (!document.cluster)
    return fail(Code::kInvalid,
                path + ":1:1: this is a part of a configuration, not a whole one: 'evercert init' makes one");
  return std::move(*document.cluster);
}

std::string describe(const Document& document) {
  std::ostringstream out;
  if (document.cluster) {
    out << "cluster " << document.cluster->name << ": " << document.cluster->regions.size() << " regions\n";
    for (const auto& region : document.cluster->regions) {
      if (region.removed) {
        out << "  " << region.name << ": removed\n";
        continue;
      }
      out << "  " << region.name << ": " << region.nodes.size() << " nodes, " << region.edges.size() << " edges, "
          << (region.witness              ? "a witness"
              : region.hsm_module.empty() ? "keys in files"
                                          : "keys in token " + region.hsm_token)
          << "\n";
    }
  }
  const auto& balancer = document.cluster ? document.cluster->load_balancer : document.load_balancer;
  if (balancer) {
    out << "global_load_balancer: " << balancer->policy << ", checks every " << balancer->check_interval_seconds
        << " s, time-out " << balancer->check_timeout_seconds << " s, out after " << balancer->unhealthy_threshold
        << ", back after " << balancer->healthy_threshold << "; failover at " << balancer->failover_percent
        << " % unhealthy within " << balancer->detection_seconds << " s\n";
    for (const auto& e : balancer->endpoints)
      out << "  " << e.region << " -> " << e.endpoint << " (priority " << e.priority << ", weight " << e.weight
          << ")\n";
  }
  const auto& cassandra = document.cluster ? document.cluster->cassandra : document.cassandra;
  if (cassandra) {
    out << "cassandra: cluster " << cassandra->cluster_name << ", read " << cassandra->read_level << ", write "
        << cassandra->write_level << "\n";
    for (const auto& d : cassandra->datacenters)
      out << "  " << d.region << ": " << d.nodes.size() << " nodes, " << d.replication_factor << " replicas\n";
  }
  return out.str();
}

}  // namespace evercert::config
