// SPDX-License-Identifier: Apache-2.0
// The operator's hand on who votes: what is proposed and answered, and which problem each mistake is. (That the groups
// follow, the simulator and the end-to-end test show.)
#include "api/admin/nodes.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "testkit/test_ca.h"

namespace evercert::api {
namespace {

using nlohmann::json;

struct Reply {
  int status = 0;
  json body;
};

class NodesTest : public testing::Test {
 protected:
  NodesTest() {
    RestOptions options;
    options.cluster = "test";
    options.tokens[sha256("reads")] = {"reader", Role::kReader};
    options.tokens[sha256("does all")] = {"alice", Role::kOperator};
    rest = std::make_unique<Rest>(options, *cluster.region(1).ca, cluster.store);
    nodes = std::make_unique<Nodes>(
        *rest, cluster.store, std::vector<std::string>{"one", "two"},
        std::vector<NodeAddress>{{NodeId{257}, "10.1.0.1", 9444, 2379}, {NodeId{513}, "10.2.0.1", 9444, 2379}});
    nodes->mount(router);
    // As the groups of a running cluster are shown before anybody has changed them.
    store::v1::Command founders;
    founders.mutable_change_replicas()->set_expected_epoch(1);
    for (const std::uint64_t node : {257, 513}) founders.mutable_change_replicas()->add_nodes()->set_node(node);
    EXPECT_TRUE(testkit::finish(cluster.executor, cluster.store.submit(cluster.executor, kGlobalGroup, founders, 1s)));
  }
  Reply send(const std::string& method, const std::string& path, const std::string& body = "",
             const std::string& token = "does all", const std::string& key = "") {
    net::HttpRequest request;
    request.method = method;
    request.target = request.path = path;
    if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
    if (!key.empty()) request.headers.set("Idempotency-Key", key);
    request.headers.set("Content-Type", "application/json");
    request.body = body;
    request.executor = &cluster.executor;
    const auto response = testkit::finish(cluster.executor, router.route(std::move(request)));
    return {response.status, json::parse(response.bytes(), nullptr, false)};
  }
  std::vector<std::uint64_t> wanted() {
    std::vector<std::uint64_t> all;
    for (const auto& replica : cluster.store.membership()->record.replicas().nodes()) all.push_back(replica.node());
    return all;
  }

  testkit::TestCa cluster{2};
  std::unique_ptr<Rest> rest;
  std::unique_ptr<Nodes> nodes;
  Router router;
};

using Numbers = std::vector<std::uint64_t>;

TEST_F(NodesTest, ANodeIsAddedWithWhereItIsReached) {
  const Reply added =
      send("PUT", "/v1/nodes/two/2", R"({"address": "10.2.0.2", "peer_port": 9444, "reason": "a second zone"})");
  ASSERT_EQ(added.status, 200) << added.body;
  EXPECT_EQ(wanted(), (Numbers{257, 513, 514}));
  const auto& replica = cluster.store.membership()->record.replicas().nodes(2);
  EXPECT_EQ(replica.address(), "10.2.0.2");
  EXPECT_EQ(replica.peer_port(), 9444u);
  EXPECT_EQ(added.body["changed"]["by"], "alice");
  EXPECT_EQ(added.body["changed"]["reason"], "a second zone");
}

TEST_F(NodesTest, OfAnUnknownNodeItMustBeSaidWhereItIsReached) {
  const Reply refused = send("PUT", "/v1/nodes/two/2");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body["detail"].get<std::string>().find("'address' and 'peer_port'"), std::string::npos);
  EXPECT_EQ(send("POST", "/v1/nodes/two/1/replace", R"({"zone": 2})").status, 400);
  EXPECT_EQ(send("PUT", "/v1/nodes/two/2", R"({"address": "over there", "peer_port": 9444})").status, 400);
  EXPECT_EQ(wanted(), (Numbers{257, 513}));
}

TEST_F(NodesTest, AnotherTakesANodesPlaceInOneChange) {
  const std::uint64_t before = cluster.store.epoch().value;
  const Reply replaced =
      send("POST", "/v1/nodes/two/1/replace", R"({"zone": 2, "address": "10.2.0.2", "peer_port": 9444})");
  ASSERT_EQ(replaced.status, 200) << replaced.body;
  EXPECT_EQ(wanted(), (Numbers{257, 514}));
  EXPECT_EQ(cluster.store.epoch().value, before + 1);
}

TEST_F(NodesTest, WhatIsSoAlreadyIsAConflict) {
  EXPECT_EQ(send("PUT", "/v1/nodes/two/1").status, 409);
  EXPECT_EQ(send("DELETE", "/v1/nodes/two/3").status, 409);
}

TEST_F(NodesTest, ARegionThatServesKeepsItsLastNode) {
  const Reply refused = send("DELETE", "/v1/nodes/two/1");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.body["detail"].get<std::string>().find("drain it first"), std::string::npos);
}

TEST_F(NodesTest, ARepeatedRequestIsAnsweredAsTheFirstTime) {
  const std::string body = R"({"address": "10.2.0.2", "peer_port": 9444})";
  EXPECT_EQ(send("PUT", "/v1/nodes/two/2", body, "does all", "k").status, 200);
  const std::uint64_t epoch = cluster.store.epoch().value;
  EXPECT_EQ(send("PUT", "/v1/nodes/two/2", body, "does all", "k").status, 200);
  EXPECT_EQ(cluster.store.epoch().value, epoch);
}

TEST_F(NodesTest, MistakesAreNamed) {
  EXPECT_EQ(send("PUT", "/v1/nodes/mars/1").status, 404);
  EXPECT_EQ(send("PUT", "/v1/nodes/two/0").status, 400);
  EXPECT_EQ(send("PUT", "/v1/nodes/two/12").status, 400);
  EXPECT_EQ(send("PUT", "/v1/nodes/two/2", R"({"address": "10.2.0.2", "peer_port": 70000})").status, 400);
  EXPECT_EQ(send("PUT", "/v1/nodes/two/2", R"({"adress": "10.2.0.2"})").status, 400);
  EXPECT_EQ(send("POST", "/v1/nodes/two/1/replace", R"({"zone": "b"})").status, 400);
  EXPECT_EQ(send("PUT", "/v1/nodes/two/2", "{", "does all").status, 400);
  EXPECT_EQ(send("DELETE", "/v1/nodes/two/1", "", "reads").status, 403);
  EXPECT_EQ(send("GET", "/v1/nodes", "", "").status, 401);
  EXPECT_EQ(wanted(), (Numbers{257, 513}));
}

}  // namespace
}  // namespace evercert::api
