// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <gtest/gtest.h>

namespace evercert::config {
namespace {

const std::string kGood = R"(evercert: 1
cluster: {name: test, id: 000102030405060708090a0b0c0d0e0f}
regions:
  - name: us-east-1
    edges: [{address: 127.1.0.1, https_port: 8443, http_port: 8080}]
    nodes: [{zone: 1, address: 127.1.0.11, link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444}]
)";

std::string error_of(const std::string& text) {
  const auto document = parse("c.yaml", text);
  return document ? "accepted" : document.error().message;
}

TEST(Config, TheSpecificationsDocumentsLoadUnchanged) {
  const auto balancer = load(std::string(EVERCERT_FIXTURES) + "/spec/global_load_balancer.yaml");
  ASSERT_TRUE(balancer.has_value()) << balancer.error().message;
  EXPECT_EQ(balancer->load_balancer->check_interval_seconds, 5);
  EXPECT_EQ(balancer->load_balancer->healthy_threshold, 3);
  EXPECT_EQ(balancer->load_balancer->failover_percent, 50);
  EXPECT_EQ(balancer->load_balancer->weights.at("eu-central-1"), 34);
  EXPECT_EQ(balancer->load_balancer->endpoints.size(), 3u);
  const auto cassandra = load(std::string(EVERCERT_FIXTURES) + "/spec/cassandra.yaml");
  ASSERT_TRUE(cassandra.has_value()) << cassandra.error().message;
  EXPECT_EQ(cassandra->cassandra->write_level, "EACH_QUORUM");
  EXPECT_EQ(cassandra->cassandra->datacenters[1].nodes[2], "cass-usw2-3");
}

TEST(Config, AnEdgeSaysWhomItTakesForAProxy) {
  const auto with = [](const std::string& more) {
    std::string text = kGood;
    return text.replace(text.find("http_port: 8080"), 15, "http_port: 8080, " + more);
  };
  const auto document = parse("c.yaml", with("proxies: [192.0.2.0/24, '2001:db8::1'], connections_per_client: 50"));
  ASSERT_TRUE(document.has_value()) << document.error().message;
  const auto& edge = document->cluster->regions[0].edges[0];
  ASSERT_EQ(edge.proxies.size(), 2u);
  EXPECT_TRUE(edge.proxies[0].contains("192.0.2.7"));
  EXPECT_FALSE(edge.proxies[1].contains("2001:db8::2"));
  EXPECT_EQ(edge.connections_per_client, 50);
  const std::string wrong = error_of(with("proxies: [192.0.2.0/33]"));
  EXPECT_TRUE(wrong.starts_with("c.yaml:5:") && wrong.find("'192.0.2.0/33'") != std::string::npos) << wrong;
  EXPECT_NE(error_of(with("connections_per_client: 0")), "accepted");
}

TEST(Config, ASpareEdgeIsOneBesideOthersThatRunAllTheTime) {
  const auto with = [](const std::string& edges) {
    std::string text = kGood;
    const std::string first = "{address: 127.1.0.1, https_port: 8443, http_port: 8080}";
    return text.replace(text.find(first), first.size(), edges);
  };
  const std::string running = "{address: 127.1.0.1, https_port: 8443, http_port: 8080}";
  const std::string spare = "{address: 127.1.0.1, https_port: 8444, http_port: 8081, spare: true}";
  const auto document = parse("c.yaml", with(running + ", " + spare));
  ASSERT_TRUE(document.has_value()) << document.error().message;
  EXPECT_FALSE(document->cluster->regions[0].edges[0].spare);
  EXPECT_TRUE(document->cluster->regions[0].edges[1].spare);
  EXPECT_EQ(error_of(with(spare)).find("c.yaml:5:"), 0u) << error_of(with(spare));
  EXPECT_NE(error_of(with(running + ", {address: 127.1.0.1, https_port: 8444, http_port: 8081, spare: perhaps}")),
            "accepted");
}

TEST(Config, ASpareNodeStandsBehindOneThatRunsAllTheTime) {
  const std::string first =
      "{zone: 1, address: 127.1.0.11, link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444";
  const auto with = [&](const std::string& nodes) {
    std::string text = kGood;
    const auto at = text.find(first);
    EXPECT_NE(at, std::string::npos);
    return text.replace(at, first.size() + 1, nodes);
  };
  const std::string second =
      "{zone: 2, address: 127.1.0.12, link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444, spare: "
      "true}";
  const auto document = parse("c.yaml", with(first + "}, " + second));
  ASSERT_TRUE(document.has_value()) << document.error().message;
  EXPECT_FALSE(document->cluster->regions[0].nodes[0].spare);
  EXPECT_TRUE(document->cluster->regions[0].nodes[1].spare);
  EXPECT_NE(error_of(with(second + ", " + first + "}")).find("the first node of region"), std::string::npos)
      << error_of(with(second + ", " + first + "}"));
}

// Two regions that keep records and a witness, whose entry is given.
std::string with_witness(const std::string& witness, bool two = true) {
  const std::string west = R"(  - name: us-west-2
    edges: [{address: 127.2.0.1, https_port: 8443, http_port: 8080}]
    nodes: [{zone: 1, address: 127.2.0.11, link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444}]
)";
  return kGood + (two ? west : "") + witness;
}
const std::string kWitness = R"(  - name: eu-central-1
    witness: true
    nodes: [{zone: 1, address: 127.3.0.11, status_port: 9080, peer_port: 9444}]
)";

TEST(Config, AWitnessHasNodesAndNothingElse) {
  const auto document = parse("c.yaml", with_witness(kWitness));
  ASSERT_TRUE(document.has_value()) << document.error().message;
  EXPECT_TRUE(document->cluster->regions[2].witness);
  EXPECT_FALSE(document->cluster->regions[0].witness);
  EXPECT_NE(describe(*document).find("a witness"), std::string::npos);
  const auto refused = [](const std::string& text) { return error_of(text); };
  const std::string edges = "    edges: [{address: 127.3.0.1, https_port: 8443, http_port: 8080}]\n";
  EXPECT_NE(refused(with_witness(kWitness + edges)).find("c.yaml:13:12: region 'eu-central-1' is a witness"),
            std::string::npos)
      << refused(with_witness(kWitness + edges));
  EXPECT_NE(refused(with_witness(kWitness + "    hsm: {module: m, token: t}\n")).find("neither edges nor keys"),
            std::string::npos);
  std::string with_api = kWitness;
  with_api.replace(with_api.find("status_port"), 0, "api_port: 9443, ");
  EXPECT_NE(refused(with_witness(with_api)).find("api_port"), std::string::npos);
}

TEST(Config, WitnessesAreFewerThanThoseWhoKeepRecords) {
  EXPECT_NE(error_of(with_witness(kWitness, false)).find("c.yaml:8:14: a witness needs two regions"), std::string::npos)
      << error_of(with_witness(kWitness, false));
  std::string three = kWitness;
  three.replace(three.rfind("}]"), 2,
                "}, {zone: 2, address: 127.3.0.12, status_port: 9080, peer_port: 9444}"
                ", {zone: 3, address: 127.3.0.13, status_port: 9080, peer_port: 9444}]");
  EXPECT_NE(error_of(with_witness(three)).find("3 of 5 nodes"), std::string::npos) << error_of(with_witness(three));
}

TEST(Config, AWholeConfigurationLoads) {
  const auto document = parse("c.yaml", kGood);
  ASSERT_TRUE(document.has_value()) << document.error().message;
  EXPECT_EQ(document->cluster->regions[0].nodes[0].id, NodeId{257});
}

TEST(Config, ARemovedRegionKeepsItsPlaceAndMayGoWithoutNodesAndEdges) {
  const auto removed =
      parse("c.yaml", kGood + "  - {name: us-west-2, removed: true}\n  - name: eu-central-1\n" +
                          "    edges: [{address: 127.3.0.1, https_port: 8443, http_port: 8080}]\n" +
                          "    nodes: [{zone: 1, address: 127.3.0.11, link_port: 9445, api_port: 9443, " +
                          "status_port: 9080, peer_port: 9444}]\n");
  ASSERT_TRUE(removed.has_value()) << removed.error().message;
  EXPECT_TRUE(removed->cluster->regions[1].removed);
  EXPECT_EQ(removed->cluster->regions[2].nodes[0].id, NodeId{769}) << "the third all the same";
  EXPECT_FALSE(removed->cluster->regions[2].removed);
  EXPECT_NE(describe(*removed).find("us-west-2: removed"), std::string::npos);
  const auto node = named_node(*removed->cluster, "us-west-2", 1);
  EXPECT_EQ(node ? "" : node.error().message,
            "c.yaml: region 'us-west-2' was removed: its nodes are not to run any more");
  EXPECT_EQ(error_of(kGood + "  - {name: us-west-2}\n"), "c.yaml:7:5: 'regions' lacks 'nodes': add it");
  EXPECT_EQ(error_of(kGood + "  - {name: us-west-2, removed: false}\n"), "c.yaml:7:5: 'regions' lacks 'nodes': add it");
  EXPECT_EQ(error_of(kGood + "  - {name: us-west-2, removed: gone}\n"), "c.yaml:7:32: 'removed' must be true or false");
  EXPECT_EQ(error_of("evercert: 1\ncluster: {name: test, id: 000102030405060708090a0b0c0d0e0f}\nregions:\n" +
                     std::string("  - {name: us-east-1, removed: true}\n")),
            "c.yaml:4:3: at least one region is needed");
  EXPECT_EQ(error_of(kGood + "  - {name: eu-central-1, removed: true}\nglobal_load_balancer:\n  endpoints:\n" +
                     "    - {region: eu-central-1, endpoint: a.test, priority: 1, weight: 1}\n"),
            "c.yaml:9:3: endpoint for 'eu-central-1', a region that is removed: remove the endpoint too");
}

TEST(Config, TheKeySpaceKeepsAnHourOfHistoryUnlessTold) {
  const auto compaction = [](const std::string& text) { return parse("c.yaml", kGood + text)->cluster->compaction; };
  EXPECT_EQ(compaction("").mode, "periodic");
  EXPECT_EQ(compaction("").retention_seconds, 3600);
  EXPECT_EQ(compaction("coordination: {compaction: {mode: periodic, retention_seconds: 86400}}\n").retention_seconds,
            86400);
  EXPECT_EQ(compaction("coordination: {compaction: {mode: revision, retention_revisions: 7}}\n").retention_revisions,
            7);
  EXPECT_EQ(compaction("coordination: {compaction: {mode: off}}\n").mode, "off");
  EXPECT_EQ(error_of(kGood + "coordination: {compaction: {mode: hourly}}\n"),
            "c.yaml:7:35: unknown mode 'hourly': use off, periodic or revision");
  EXPECT_EQ(error_of(kGood + "coordination: {compaction: {mode: revision, retention_seconds: 60}}\n"),
            "c.yaml:7:64: 'retention_seconds' means nothing with mode revision: use mode periodic");
  EXPECT_EQ(error_of(kGood + "coordination: {compaction: {mode: periodic, retention_seconds: 1}}\n"),
            "c.yaml:7:64: 'retention_seconds' must lie between 10 and 315360000");
}

TEST(Config, WhatWaitsForAMajorityIsUpToTheClusterFile) {
  const auto by_default = parse("c.yaml", kGood)->cluster->degraded;
  EXPECT_TRUE(by_default.revocation.queue);
  EXPECT_FALSE(by_default.renewal.queue);
  EXPECT_FALSE(by_default.issuance.queue);
  const auto said = parse("c.yaml", kGood +
                                        "degraded: {revocation: refuse, issuance: {do: queue, expires_minutes: 5}, "
                                        "acme: refuse, most_queued: 50, most_queued_mib: 2}\n");
  ASSERT_TRUE(said.has_value()) << said.error().message;
  EXPECT_FALSE(said->cluster->degraded.revocation.queue);
  EXPECT_TRUE(said->cluster->degraded.issuance.queue);
  EXPECT_EQ(said->cluster->degraded.issuance.expires_minutes, 5);
  EXPECT_EQ(said->cluster->degraded.most_queued, 50);
  EXPECT_EQ(error_of(kGood + "degraded: {issuance: later}\n"),
            "c.yaml:7:22: unknown policy 'later' for 'issuance': use queue or refuse");
  EXPECT_EQ(error_of(kGood + "degraded: {acme: queue}\n"),
            "c.yaml:7:18: 'acme' can only be refuse: the protocol has no answer that says 'later', its clients repeat "
            "after Retry-After");
  EXPECT_EQ(error_of(kGood + "degraded: {revokation: queue}\n"),
            "c.yaml:7:12: unknown key 'revokation' in 'degraded': did you mean 'revocation'?");
  EXPECT_EQ(error_of(kGood + "degraded: {issuance: {do: queue, expires_minutes: 10000}}\n"),
            "c.yaml:7:51: 'expires_minutes' must lie between 1 and 8640");
  EXPECT_EQ(error_of(kGood + "degraded: {most_queued: 1}\n"),
            "c.yaml:7:25: 'most_queued' must lie between 4 and 1000000");
  EXPECT_EQ(error_of(kGood + "degraded: queue\n").substr(0, 12), "c.yaml:7:11:");
}

TEST(Config, HowEdgesTreatWhatComesIsUpToTheClusterFile) {
  const auto by_default = parse("c.yaml", kGood)->cluster->edge;
  EXPECT_EQ(by_default.in_flight_initial, 128);
  EXPECT_EQ(by_default.client.per_second, 1000);
  EXPECT_FALSE(by_default.limit_loopback);
  const auto said = parse("c.yaml", kGood +
                                        "edge: {threads: 2, in_flight: {initial: 16, slack_ms: 10}, most_waiting: 100, "
                                        "rate_limits: {client: {per_second: 5}, prefix: {per_second: 40, burst: 60}, "
                                        "loopback: true}, canary: {zones: [1], percent: 2.5}}\n");
  ASSERT_TRUE(said.has_value()) << said.error().message;
  const auto& edge = said->cluster->edge;
  EXPECT_EQ(edge.threads, 2);
  EXPECT_EQ(edge.in_flight_initial, 16);
  EXPECT_EQ(edge.slack_ms, 10);
  EXPECT_EQ(edge.most_waiting, 100);
  EXPECT_EQ(edge.client.burst, 25) << "five seconds' worth";
  EXPECT_EQ(edge.prefix.burst, 60);
  EXPECT_EQ(edge.account.per_second, 1000);
  EXPECT_TRUE(edge.limit_loopback);
  EXPECT_EQ(edge.canary_zones, std::vector{1});
  EXPECT_EQ(edge.canary_percent, 2.5);
  EXPECT_EQ(error_of(kGood + "edge: {rate_limit: {}}\n"),
            "c.yaml:7:8: unknown key 'rate_limit' in 'edge': did you mean 'rate_limits'?");
  EXPECT_EQ(error_of(kGood + "edge: {rate_limits: {client: {burst: 3}}}\n"),
            "c.yaml:7:30: 'client' lacks 'per_second': add it");
  EXPECT_EQ(error_of(kGood + "edge: {rate_limits: {client: {per_second: 0}}}\n").substr(0, 12), "c.yaml:7:43:");
  EXPECT_EQ(error_of(kGood + "edge: {canary: {zones: [9], percent: 5}}\n"),
            "c.yaml:7:25: no region has a node in zone 9");
  EXPECT_EQ(error_of(kGood + "edge: {canary: {zones: [x], percent: 5}}\n"),
            "c.yaml:7:25: 'zones' must be a list of numbers of zones");
  EXPECT_EQ(error_of(kGood + "edge: {canary: {zones: [1], percent: 101}}\n"),
            "c.yaml:7:38: 'percent' must lie between 0 and 100");
  EXPECT_EQ(by_default.busy_poll_us, 0);
  EXPECT_EQ(parse("c.yaml", kGood + "edge: {busy_poll_us: 300}\n")->cluster->edge.busy_poll_us, 300);
  EXPECT_EQ(error_of(kGood + "edge: {busy_poll_us: 100001}\n").substr(0, 12), "c.yaml:7:22:");
  EXPECT_EQ(by_default.largest_body_mb, 1024);
  EXPECT_EQ(parse("c.yaml", kGood + "edge: {largest_body_mb: 2.5}\n")->cluster->edge.largest_body_mb, 2.5);
  for (const char* wrong : {"0", "0.2", "-1", "2000000", "lots", "1 GB"}) {
    const std::string error = error_of(kGood + "edge: {largest_body_mb: " + wrong + "}\n");
    EXPECT_EQ(error.substr(0, 12), "c.yaml:7:25:") << wrong;
    EXPECT_NE(error.find("'largest_body_mb' must"), std::string::npos) << error;
  }
  EXPECT_EQ(by_default.sticky, "acme");
  EXPECT_EQ(error_of(kGood + "edge: {sticky: yes}\n"),
            "c.yaml:7:16: 'sticky' must be off, acme or all: whose requests come to one node");
}

TEST(Config, AProfileOfServersMayAskForAStapledOcspAnswer) {
  EXPECT_FALSE(parse("c.yaml", kGood)->cluster->profiles[0].must_staple);
  const auto said = parse("c.yaml", kGood + "profiles: {server: {usage: server, must_staple: true}}\n");
  ASSERT_TRUE(said.has_value()) << said.error().message;
  EXPECT_TRUE(said->cluster->profiles[0].must_staple);
  EXPECT_NE(error_of(kGood + "profiles: {c: {usage: client, must_staple: true}}\n").find("use it with usage server"),
            std::string::npos);
}

TEST(Config, AnEdgesOwnNamesAreThoseOfItsRegionAndNumber) {
  EXPECT_TRUE(parse("c.yaml", kGood)->cluster->edge.acme.names.empty());
  const auto said = parse("c.yaml", kGood +
                                        "edge: {acme: {names: [ca.test, \"{region}-{number}.ca.test\"], contacts: "
                                        "[\"mailto:ops@ca.test\"], key: rsa2048}}\n");
  ASSERT_TRUE(said.has_value()) << said.error().message;
  const auto& acme = said->cluster->edge.acme;
  EXPECT_EQ(edge_name(acme.names[1], "US-east-1", 2), "us-east-1-2.ca.test");
  EXPECT_EQ(acme.contacts, std::vector<std::string>{"mailto:ops@ca.test"});
  EXPECT_EQ(acme.key, "rsa2048");
  const auto error = [](const std::string& text) { return error_of(kGood + "edge: {acme: {" + text + "}}\n"); };
  EXPECT_EQ(error("key: p256"), "c.yaml:7:14: 'acme' lacks 'names': add it");
  EXPECT_EQ(error("names: []"), "c.yaml:7:22: 'names' must have one at least");
  EXPECT_EQ(error("names: [\"*.ca.test\"]").substr(0, 36), "c.yaml:7:23: '*.ca.test': a wildcard");
  EXPECT_EQ(error("names: [\"{regoin}.test\"]").substr(0, 28), "c.yaml:7:23: '{regoin}.test'");
  EXPECT_EQ(error("names: [ca]").substr(0, 13), "c.yaml:7:23: ");
  EXPECT_EQ(error("names: [127.1.0.1]"), "accepted");
  EXPECT_EQ(acme.challenge, "http-01");
  EXPECT_EQ(error("names: [ca.test], challenge: tls-alpn-01"), "accepted");
  EXPECT_EQ(error("names: [ca.test], challenge: dns-01"),
            "c.yaml:7:44: unknown challenge 'dns-01': use http-01 or tls-alpn-01");
  EXPECT_EQ(error("names: [127.1.0.1], challenge: tls-alpn-01"),
            "c.yaml:7:46: addresses among 'names' are proved by http-01 alone");
  EXPECT_NE(error("names: [127.1.0.1], directory: \"https://a.test/d\"").find("own directory alone"),
            std::string::npos);
  EXPECT_EQ(error("names: [ca.test], directory: \"http://a.test/d\""),
            "c.yaml:7:44: 'directory' must be the https:// URL of an ACME directory");
  EXPECT_EQ(error("names: [ca.test], contacts: [ops]").substr(0, 27), "c.yaml:7:43: 'ops' is no co");
  EXPECT_EQ(error("names: [ca.test], key: ed25519"), "c.yaml:7:38: unknown key 'ed25519': use p256, p384 or rsa2048");
}

TEST(Config, EveryMistakeIsToldWithFileLineAndFix) {
  EXPECT_EQ(error_of(kGood + "timming: {profile: wan}\n"),
            "c.yaml:7:1: unknown key 'timming' in 'configuration': did you mean 'timing'?");
  EXPECT_EQ(error_of(kGood + "timing: {profile: moon}\n"),
            "c.yaml:7:19: unknown timing profile 'moon': use wan or loopback");
  EXPECT_EQ(error_of(kGood + "timing: {heartbeat_ms: 100, election_ms: 200}\n"),
            "c.yaml:7:9: election_ms must be at least three times heartbeat_ms, and heartbeat_ms at least tick_ms");
  EXPECT_EQ(error_of(kGood + "acme: {http01_port: 70000}\n"),
            "c.yaml:7:21: 'http01_port' must lie between 1 and 65535");
  EXPECT_EQ(error_of(kGood + "acme: {http01_port: x}\n"), "c.yaml:7:21: 'http01_port' must be a number");
  EXPECT_EQ(error_of(kGood + "acme: {terms_of_service: {url: \"http://a.test/terms\", version: \"1\"}}\n"),
            "c.yaml:7:32: 'url' must be an https:// URL, where people read the terms");
  EXPECT_EQ(error_of(kGood + "acme: {terms_of_service: {url: \"https://a.test/terms\"}}\n").substr(0, 12),
            "c.yaml:7:26:");
  EXPECT_EQ(error_of(kGood + "acme: {terms_of_service: {url: \"https://a.test/terms\", version: \"1\"}}\n"),
            "accepted");
  EXPECT_EQ(error_of(kGood + "tokens: [{name: a, sha256: beef, role: operator}]\n"),
            "c.yaml:7:28: 'sha256' must be 64 hexadecimal digits: the hash of the token, not the token");
  EXPECT_EQ(error_of("evercert: 2\ncluster: {name: a, id: b}\nregions: []\n"),
            "c.yaml:1:11: configuration version 2 is not known to this binary: it reads version 1");
  EXPECT_EQ(error_of("a: [1\n").substr(0, 9), "c.yaml:2:");
  EXPECT_EQ(error_of("- 1\n"), "c.yaml:1:1: the file must be a map of keys and values");
  EXPECT_EQ(error_of("global_load_balancer: {health_checks: {interval: 1, timeout: 2}}\n"),
            "c.yaml:1:39: the timeout is longer than the interval: checks would overlap");
  EXPECT_EQ(
      error_of("cassandra: {cluster_name: a, datacenters: {x: {}}, consistency_levels: {read: SOME, write: ALL}}\n"),
      "c.yaml:1:79: unknown consistency level 'SOME': use LOCAL_QUORUM for reads and EACH_QUORUM for writes");
}

}  // namespace
}  // namespace evercert::config
