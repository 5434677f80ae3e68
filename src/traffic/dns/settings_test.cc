// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace evercert::traffic::dns {
namespace {

using ::testing::HasSubstr;

class SettingsTest : public ::testing::Test {
 protected:
  SettingsTest() {
    std::string pattern = ::testing::TempDir() + "dnsXXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    std::string cluster = "evercert: 1\ncluster: {name: test, id: 000102030405060708090a0b0c0d0e0f}\nregions:\n";
    int number = 0;
    for (const char* region : {"us-east-1", "us-west-2", "eu-central-1"}) {
      const std::string net = "127." + std::to_string(++number) + ".0.";
      cluster += std::string("  - name: ") + region + "\n    edges: [{address: " + net +
                 "10, https_port: 8443, http_port: 8080}]\n    nodes: [{zone: 1, address: " + net +
                 "11, link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444}]\n";
    }
    words_.cluster_file = write("cluster.yaml", cluster + "acme: {caa_identity: ca.test}\n");
    words_.load_balancer_file = std::string(EVERCERT_FIXTURES) + "/spec/global_load_balancer.yaml";
  }
  ~SettingsTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + "/" + name) << text;
    return dir_ + "/" + name;
  }
  // The specification's document with words changed.
  void change(const std::string& from, const std::string& to) {
    std::stringstream text;
    text << std::ifstream(words_.load_balancer_file).rdbuf();
    std::string changed = text.str();
    const auto at = changed.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    words_.load_balancer_file = write("glb.yaml", changed);
  }
  Result<ServerOptions> options() const { return server_options(words_, WallTime{1'700'000'000'000}); }
  std::string refusal() const {
    const auto made = options();
    return made ? "accepted" : made.error().message;
  }

  std::string dir_;
  Words words_;
};

TEST_F(SettingsTest, TheSpecificationsDocumentIsAllThatIsNeeded) {
  const auto made = options();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->zone.name, "api.certmanager.com.");
  EXPECT_EQ(made->zone.first_serial, 1'700'000'000u);
  EXPECT_EQ(made->zone.caa.at(0), "0 issue \"ca.test\"");
  EXPECT_EQ(made->zone.name_servers.at(0).name, "ns1.api.certmanager.com.");
  ASSERT_EQ(made->regions.size(), 3u);
  EXPECT_EQ(made->regions[0].name, "us-east-1");
  EXPECT_EQ(made->regions[2].endpoint, "eu-central-1.api.certmanager.com.");
  EXPECT_EQ(made->regions[2].weight, 3400);
  EXPECT_EQ(to_string(made->regions[1].edges[0].addresses[0]), "127.2.0.10");
  EXPECT_EQ(made->checks.edges[1][0].port, 8443);
  EXPECT_EQ(made->checks.edges[1][0].address, "127.2.0.10");
  EXPECT_EQ(made->checks.tls.ca_bundle, dir_ + "/public/root.pem");
  EXPECT_EQ(made->checks.plan.interval, 5s);
  EXPECT_EQ(made->checks.plan.timeout, 2s);
  EXPECT_FALSE(made->checks.plan.shortened);
  EXPECT_EQ(made->rules.thresholds.unhealthy, 2);
  EXPECT_EQ(made->rules.thresholds.healthy, 3);
  EXPECT_EQ(made->rules.failover_percent, 50);
  EXPECT_EQ(made->policy, Policy::kWeightedLatency);
}

TEST_F(SettingsTest, DetectionTimeAndThresholdAreObeyed) {
  change("detection_time: 10", "detection_time: 4");
  change("50%_unhealthy", "75%_unhealthy");
  const auto made = options();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->checks.plan.shortened);
  EXPECT_LE(made->checks.plan.interval + 2 * made->checks.plan.timeout + made->checks.plan.recheck, 4s);
  EXPECT_EQ(made->rules.failover_percent, 75);
  EXPECT_EQ(made->rules.memory, 4s);
}

TEST_F(SettingsTest, WhatDoesNotFitTheClusterIsRefusedByFileAndLine) {
  change("- region: \"us-west-2\"", "- region: \"us-west-9\"");
  EXPECT_THAT(refusal(), HasSubstr("glb.yaml:27: endpoint for 'us-west-9', which is not among the regions of"));
  words_.load_balancer_file = std::string(EVERCERT_FIXTURES) + "/spec/global_load_balancer.yaml";
  change("      us_west_2: 33\n", "");
  EXPECT_THAT(refusal(), HasSubstr("glb.yaml:12: routing_policy.weights says nothing of 'us-west-2'"));
  words_.load_balancer_file.clear();
  EXPECT_THAT(refusal(), HasSubstr("--load-balancer"));
}

TEST_F(SettingsTest, EndpointsWithoutAZoneInCommonNeedOneByName) {
  change("us-west-2.api.certmanager.com", "us-west-2.example.org");
  EXPECT_THAT(refusal(), HasSubstr("--zone"));
}

TEST_F(SettingsTest, TheWorldsAddressesTakeThePlaceOfTheClusterFiles) {
  words_.addresses = {"us-west-2/1=203.0.113.7,2001:db8::7"};
  const auto made = options();
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->regions[1].edges[0].addresses.size(), 2u);
  EXPECT_EQ(to_string(made->regions[1].edges[0].addresses[1]), "2001:db8::7");
  EXPECT_EQ(made->checks.edges[1][0].address, "127.2.0.10") << "checks go where the edge is";
  for (const char* wrong :
       {"us-west-2=1.2.3.4", "us-west-2/2=1.2.3.4", "us-west-9/1=1.2.3.4", "us-west-2/1=x", "x", "="}) {
    words_.addresses = {wrong};
    EXPECT_THAT(refusal(), HasSubstr("--address")) << wrong;
  }
}

TEST_F(SettingsTest, TheZonesKeyMustNotBeReadableByOthers) {
  words_.key_file = write("zone.key", "whatever");
  ASSERT_EQ(::chmod(words_.key_file.c_str(), 0644), 0);
  EXPECT_THAT(refusal(), HasSubstr("chmod 600"));
  ASSERT_EQ(::chmod(words_.key_file.c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("zone.key: no private key"));
}

TEST_F(SettingsTest, WordsThatAreWrongAreNamed) {
  const auto with = [&](auto alter) {
    const Words kept = words_;
    alter(words_);
    const std::string message = refusal();
    words_ = kept;
    return message;
  };
  EXPECT_THAT(with([](Words& w) { w.listen = {"nowhere"}; }), HasSubstr("--listen"));
  EXPECT_THAT(with([](Words& w) { w.status = "nowhere"; }), HasSubstr("--status"));
  EXPECT_THAT(with([](Words& w) { w.coordinates = {"us-east-1=far"}; }), HasSubstr("--coordinates"));
  EXPECT_THAT(with([](Words& w) { w.listen = {"0.0.0.0:53"}; }), HasSubstr("--name-server"));
  EXPECT_THAT(with([](Words& w) { w.geo_file = "/nonexistent.mmdb"; }), HasSubstr("/nonexistent.mmdb: no such file"));
  EXPECT_THAT(with([](Words& w) { w.table_file = "/nonexistent.txt"; }), HasSubstr("/nonexistent.txt: "));
  EXPECT_THAT(with([](Words& w) { w.zone = "x..y"; }), HasSubstr("no DNS name"));
}

}  // namespace
}  // namespace evercert::traffic::dns
