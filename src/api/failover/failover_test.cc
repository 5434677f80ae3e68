// SPDX-License-Identifier: Apache-2.0
// What is answered about failover, and which problem each mistake is. On the real state machine of the key space.
#include "api/failover/failover.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/failover/signed_log_test.h"
#include "base/encoding.h"
#include "base/os/system.h"
#include "recovery/failover/record.h"
#include "testkit/test_ca.h"

namespace evercert::api {
namespace {

using nlohmann::json;

struct Reply {
  int status = 0;
  json body;
};

class FailoverTest : public testing::Test {
 protected:
  FailoverTest() {
    cluster.store.on_coordination([this](const coordination::Effects& e) { contenders.applied(e); },
                                  [this] { contenders.replaced(); });
    RestOptions options;
    options.cluster = "test";
    options.tokens[sha256("reads")] = {"reader", Role::kReader};
    options.tokens[sha256("issues")] = {"issuer", Role::kIssuer};
    options.tokens[sha256("does all")] = {"alice", Role::kOperator};
    rest = std::make_unique<Rest>(options, *cluster.region(1).ca, cluster.store);
    regions.regions = {{RegionId{1}, "one"}, {RegionId{2}, "two"}};
    regions.nodes = {{node_id(RegionId{1}, 1), RegionId{1}}, {node_id(RegionId{2}, 1), RegionId{2}}};
    failover = std::make_unique<Failover>(*rest, coordinator, locks, regions, cluster.wall, test_trust(cluster),
                                          FailoverHooks{[] {
                                                          recovery::Observation o;
                                                          o.node = node_id(RegionId{1}, 1);
                                                          return o;
                                                        },
                                                        [] { return FailoverSeat{}; },
                                                        [](Executor&, RegionId) -> Task<Result<recovery::Rehearsal>> {
                                                          recovery::Rehearsal rehearsal;
                                                          rehearsal.forbidden = "no other region would serve";
                                                          co_return rehearsal;
                                                        }});
    failover->mount(router);
  }
  Reply send(const std::string& method, const std::string& path, const std::string& body = "",
             const std::string& token = "does all") {
    net::HttpRequest request;
    request.method = method;
    request.target = path;
    request.path = path.substr(0, path.find('?'));
    if (request.path.size() < path.size()) request.query = path.substr(request.path.size() + 1);
    if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
    request.headers.set("Content-Type", "application/json");
    request.body = body;
    request.executor = &cluster.executor;
    const auto response = testkit::finish(cluster.executor, router.route(std::move(request)));
    return {response.status, json::parse(response.bytes(), nullptr, false)};
  }
  void put(std::string_view key, const std::string& value) {
    etcdserverpb::PutRequest request;
    request.set_key(std::string(key));
    request.set_value(value);
    ASSERT_TRUE(testkit::finish(cluster.executor, coordinator.put(cluster.executor, request)));
  }
  std::vector<recovery::Order> orders() {
    etcdserverpb::RangeRequest request;
    request.set_key(std::string(recovery::kOrdersPrefix));
    request.set_range_end(coordination::end_of(std::string(recovery::kOrdersPrefix)));
    const auto found = testkit::finish(cluster.executor, coordinator.range(cluster.executor, request));
    std::vector<recovery::Order> all;
    for (const auto& kv : found->kvs()) all.push_back(*recovery::parse_order(kv.value()));
    return all;
  }

  testkit::TestCa cluster{2};
  Coordinator coordinator{{NodeId{257}, 1, 7, 7s, 2}, cluster.store, cluster.store, os::secure_random()};
  coordination::LockTable contenders{[this] { return cluster.store.coordination_view(); }};
  Locks locks{coordinator, contenders};
  recovery::Cluster regions;
  std::unique_ptr<Rest> rest;
  std::unique_ptr<Failover> failover;
  Router router;
};

TEST_F(FailoverTest, OnlyOperatorsOrderAndReadersRead) {
  EXPECT_EQ(send("GET", "/v1/failover", "", "").status, 401);
  EXPECT_EQ(send("GET", "/v1/failover", "", "reads").status, 200);
  for (const char* path :
       {"/v1/failover/plans", "/v1/failover/incidents/F-1/approve", "/v1/failover/incidents/F-1/abort"}) {
    EXPECT_EQ(send("POST", path, R"({"region":"one"})", "reads").status, 403) << path;
    EXPECT_EQ(send("POST", path, R"({"region":"one"})", "issues").status, 403) << path;
  }
  EXPECT_EQ(send("PUT", "/v1/failover/policy", "{}", "issues").status, 403);
  EXPECT_TRUE(orders().empty());
}

TEST_F(FailoverTest, WhatIsOrderedLiesInTheKeySpaceWithWhoAndWhy) {
  EXPECT_EQ(send("POST", "/v1/failover/plans", R"({"region":"two","reason":"a new switch"})").status, 202);
  const auto all = orders();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].verb, recovery::Order::Verb::kPlan);
  EXPECT_EQ(all[0].region, RegionId{2});
  EXPECT_EQ(all[0].by, "alice");
  EXPECT_EQ(all[0].reason, "a new switch");
}

TEST_F(FailoverTest, ADryRunOrdersNothing) {
  const Reply reply = send("POST", "/v1/failover/plans", R"({"region":"two","dry_run":true})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body["forbidden"], "no other region would serve");
  EXPECT_TRUE(orders().empty());
}

TEST_F(FailoverTest, MistakesAreToldAndOrderNothing) {
  EXPECT_EQ(send("POST", "/v1/failover/plans", R"({"region":"three"})").status, 404);
  EXPECT_EQ(send("POST", "/v1/failover/plans", "{}").status, 400);
  EXPECT_EQ(send("POST", "/v1/failover/plans", R"({"region":"one","dry_run":"yes"})").status, 400);
  EXPECT_EQ(send("POST", "/v1/failover/plans", R"({"region":"one","when":"now"})").status, 400);
  EXPECT_EQ(send("POST", "/v1/failover/incidents/F-1/approve").status, 404);
  EXPECT_EQ(send("POST", "/v1/failover/incidents/x/approve").status, 400);
  EXPECT_EQ(send("POST", "/v1/failover/incidents/F-1.0/approve").status, 400);
  EXPECT_TRUE(orders().empty());
}

TEST_F(FailoverTest, OnlyWhatAsksForApprovalIsApproved) {
  recovery::State state;
  recovery::Incident incident;
  incident.id = 1;
  incident.subject = "one";
  incident.phase = recovery::Phase::kExecuting;
  state.incidents.push_back(incident);
  const recovery::Times times{Instant{1}, cluster.wall.now()};
  put(recovery::kStateKey, recovery::to_json(state, times, regions));
  EXPECT_EQ(send("POST", "/v1/failover/incidents/F-1/approve").status, 409);
  state.incidents[0].phase = recovery::Phase::kApproval;
  put(recovery::kStateKey, recovery::to_json(state, times, regions));
  EXPECT_EQ(send("POST", "/v1/failover/incidents/F-1.3/approve").status, 202);
  ASSERT_EQ(orders().size(), 1u);
  EXPECT_EQ(orders()[0].plan, 3u) << "which plan was seen is the controller's to compare";
}

TEST_F(FailoverTest, APolicyThatIsWrongIsRefusedAsAWhole) {
  EXPECT_EQ(send("PUT", "/v1/failover/policy", R"({"modes":{"region":"perhaps"}})").status, 400);
  EXPECT_EQ(send("PUT", "/v1/failover/policy", R"({"regions_left":0})").status, 400);
  EXPECT_EQ(send("GET", "/v1/failover/policy").body["modes"]["region"], "automatic");
  EXPECT_EQ(send("PUT", "/v1/failover/policy", R"({"modes":{"region":"approval"}})").status, 200);
  EXPECT_EQ(send("GET", "/v1/failover/policy").body["modes"]["region"], "approval");
}

TEST_F(FailoverTest, ALogThatWasChangedIsToldOf) {
  const TestNode node(cluster, "evercert://test/node/257");
  TestLog log;
  for (const char* text : {"a", "b", "c"}) log.write(node, "one/1", text);
  for (const auto& entry : log.entries) put(recovery::log_key(entry.number), recovery::to_json(entry));
  EXPECT_EQ(send("GET", "/v1/failover/log").body["whole"], false) << "nobody knows the signer";
  put(std::string(recovery::kSignersPrefix) + node.fingerprint, node.pem);
  EXPECT_EQ(send("GET", "/v1/failover/log").body["whole"], true);
  recovery::LogEntry forged = log.entries[1];
  forged.text = "nothing happened";
  put(recovery::log_key(2), recovery::to_json(forged));
  const Reply reply = send("GET", "/v1/failover/log");
  EXPECT_EQ(reply.body["whole"], false);
  EXPECT_NE(reply.body["trouble"].get<std::string>().find("entry 2"), std::string::npos);
}

TEST_F(FailoverTest, TheLogIsReadFromTheEndOrFromANumberOn) {
  const TestNode node(cluster, "evercert://test/node/257");
  TestLog log;
  for (const char* text : {"a", "b", "c", "d"}) log.write(node, "one/1", text);
  for (const auto& entry : log.entries) put(recovery::log_key(entry.number), recovery::to_json(entry));
  const auto numbers = [](const Reply& reply) {
    std::string all;
    for (const auto& entry : reply.body["entries"]) all += std::to_string(entry["number"].get<int>());
    return all;
  };
  EXPECT_EQ(numbers(send("GET", "/v1/failover/log?limit=2")), "34");
  EXPECT_EQ(numbers(send("GET", "/v1/failover/log?limit=2&from=2")), "23");
  EXPECT_EQ(send("GET", "/v1/failover/log?from=zero").status, 400);
}

TEST_F(FailoverTest, AllAtOnceIsOfAbortAlone) {
  put(recovery::kStateKey, R"({"version":1,"incidents":[{"id":1,"phase":"executing","kind":"region"}]})");
  EXPECT_EQ(send("POST", "/v1/failover/incidents/F-1/abort", R"({"at_once":1})").status, 400);
  EXPECT_EQ(send("POST", "/v1/failover/incidents/F-1/reject", R"({"at_once":true})").status, 400);
  EXPECT_EQ(send("POST", "/v1/failover/incidents/F-1/abort", R"({"at_once":true})").status, 202);
  ASSERT_EQ(orders().size(), 1u);
  EXPECT_TRUE(orders()[0].at_once);
}

TEST_F(FailoverTest, SharesAreReadByAnybodyWithTheirRevision) {
  EXPECT_EQ(send("GET", "/v1/failover/shares", "", "").body["revision"], 0);
  put(traffic::kSharesKey, R"({"version":1,"shares":{"two":25},"by":"F-1"})");
  const Reply reply = send("GET", "/v1/failover/shares", "", "");
  EXPECT_EQ(reply.body["shares"]["two"], 25);
  EXPECT_GT(reply.body["revision"], 0);
}

}  // namespace
}  // namespace evercert::api
