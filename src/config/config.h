// SPDX-License-Identifier: Apache-2.0
// The one file that all processes of a cluster share. See docs/configuration.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address_prefix.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace evercert::config {

struct NodeConfig {
  NodeId id;
  int zone = 1;
  std::string address;
  std::uint16_t link_port = 0;             // links of the region's edges
  std::uint16_t api_port = 0;              // HTTPS with client certificates: what the edges ask, for other tools
  std::uint16_t status_port = 0;           // plain HTTP: OCSP, CRL, metrics, health
  std::uint16_t peer_port = 0;             // gRPC: other nodes
  std::uint16_t coordination_port = 2379;  // gRPC: etcd's API
  // Is not run in calm times and does not vote: the first of the region's nodes starts it, on its machine, while
  // capacity is needed.
  bool spare = false;
};

struct EdgeConfig {
  std::string address;
  std::uint16_t https_port = 0, http_port = 0;
  std::vector<AddressPrefix> proxies;       // balancers in front, which speak the PROXY protocol
  std::int64_t connections_per_client = 0;  // 0: no limit
  // Is not run in calm times: the first of the region's nodes starts it, on its machine, while capacity is needed.
  bool spare = false;
};

struct RegionConfig {
  RegionId id;
  std::string name;
  std::vector<EdgeConfig> edges;
  std::vector<NodeConfig> nodes;
  std::string hsm_module, hsm_token;  // empty module: keys in files
  bool removed = false;               // it keeps its place, and nobody is sent there; nodes and edges may be left out
  bool witness = false;               // votes and keeps no records: no edges, no keys, no interfaces
};

struct Timing {
  Duration tick = 50ms, heartbeat = 150ms, election = 1200ms;
  Duration lease_ttl = 1500ms, lease_renew = 300ms, near_lag = 400ms;
  Duration fence_after = 3s;    // from the lapse of the promises to a region until it is fenced
  Duration readmit_after = 2s;  // that it must be heard again, and keep up, before it is admitted
};

struct WanLink {
  std::string a, b;
  double p50_ms = 0, p90_ms = 0;
};

struct ProfileConfig {
  std::string name, usage;  // usage: server, client, both
  std::int64_t validity_seconds = 90 * 86400;
  bool must_staple = false;  // RFC 7633
};

struct TokenConfig {
  std::string name, sha256_hex, role;  // role: operator, issuer, reader
};

// global_load_balancer: the specification's document.
struct LoadBalancerConfig {
  std::int64_t check_interval_seconds = 5, check_timeout_seconds = 2;
  int unhealthy_threshold = 2, healthy_threshold = 3;
  std::string policy = "weighted_latency";
  std::map<std::string, double> weights;  // by our region names
  std::int64_t detection_seconds = 10;
  int failover_percent = 50;
  struct Endpoint {
    std::string region, endpoint;
    int priority = 1, weight = 100;
  };
  std::vector<Endpoint> endpoints;
};

// cassandra: the specification's document. The built-in store keeps its promises (EACH_QUORUM writes).
struct CassandraConfig {
  std::string cluster_name;
  struct Datacenter {
    std::string region;
    int replication_factor = 3;
    std::vector<std::string> nodes;
  };
  std::vector<Datacenter> datacenters;
  std::string strategy, read_level, write_level;
  bool latency_aware = false, prefer_local = false;
};

// How long the history of the key space is kept (coordination/auto_compaction.h).
struct CompactionConfig {
  std::string mode = "periodic";  // off, periodic, revision
  std::int64_t retention_seconds = 3600, retention_revisions = 10'000;
};

// What becomes of work for which there is no majority: docs/cycles/degraded.md.
struct DegradedConfig {
  struct OfKind {
    bool queue = false;  // else refused
    std::int64_t expires_minutes = 0;
  };
  OfKind revocation{true, 7 * 1440}, renewal{false, 1440}, issuance{false, 60};
  std::int64_t most_queued = 10'000, most_queued_mib = 16;  // on each node
};

// How every edge treats what comes: docs/edge.md.
struct EdgeSettings {
  int threads = 1;
  int busy_poll_us = 0;         // a thread looks for more for so long before it sleeps
  int in_flight_initial = 128;  // at each node, until more was tried
  double slack_ms = 100;        // so much longer answers may take without being taken for a queue
  int most_waiting = 4096;      // at the door
  struct Rate {
    double per_second = 0, burst = 0;
  };
  Rate client{1000, 5000}, prefix{4000, 20'000}, account{1000, 5000};
  bool limit_loopback = false;
  // Nodes of these zones run a new release; it gets so much of the traffic.
  std::vector<int> canary_zones;
  double canary_percent = 0;
  std::string sticky = "acme";    // off, acme, all
  double largest_body_mb = 1024;  // of a request
  // Certificates for the edges' own names, by ACME. No names: none.
  struct Acme {
    std::vector<std::string> names;  // DNS names and addresses; {region} and {number} stand for the edge's
    std::string directory, trust;  // empty: the cluster's own; else its URL, and whom to trust (PEM; the system's list)
    std::vector<std::string> contacts;
    std::string key = "p256";  // p256, p384, rsa2048
    // http-01, and tls-alpn-01 where that is not offered; or tls-alpn-01 alone
    std::string challenge = "http-01";
  };
  Acme acme;
};

struct ClusterConfig {
  std::string path, dir;  // of the file; other paths are relative to dir
  std::string name, id;   // id: 16 bytes
  std::vector<RegionConfig> regions;
  Timing timing;
  bool emulated_wan = false;
  std::vector<WanLink> links;
  std::vector<ProfileConfig> profiles;
  std::uint16_t http01_port = 80;
  std::string resolver;  // address:port
  std::string caa_identity;
  // Terms of service that ACME accounts must agree to. An empty URL: none.
  struct Terms {
    std::string url, version;
  };
  Terms terms;
  std::int64_t ocsp_validity_seconds = 3600, crl_interval_seconds = 3600, crl_validity_seconds = 86400;
  DegradedConfig degraded;
  EdgeSettings edge;
  std::vector<TokenConfig> tokens;
  CompactionConfig compaction;
  std::optional<LoadBalancerConfig> load_balancer;
  std::optional<CassandraConfig> cassandra;

  const RegionConfig* region(const std::string& name) const;
  const RegionConfig& region(RegionId which) const { return regions.at(which.value - 1u); }
};

// A name of EdgeSettings::Acme as it is for one edge.
std::string edge_name(std::string name, const std::string& region, int number);

// For commands that name a region or a node of it. kInvalid: the message names those that there are.
Result<const RegionConfig*> named_region(const ClusterConfig& config, const std::string& name);
Result<const NodeConfig*> named_node(const ClusterConfig& config, const std::string& region, int zone);

// What a file turned out to be: a whole configuration, or one of the two documents alone.
struct Document {
  std::optional<ClusterConfig> cluster;
  std::optional<LoadBalancerConfig> load_balancer;
  std::optional<CassandraConfig> cassandra;
};

// kInvalid: "file:line:column: what is wrong: how to mend it".
Result<Document> parse(const std::string& path, const std::string& text);
Result<Document> load(const std::string& path);
Result<ClusterConfig> load_cluster(const std::string& path);
// A few lines for a person.
std::string describe(const Document& document);

}  // namespace evercert::config
