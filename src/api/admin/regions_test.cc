// SPDX-License-Identifier: Apache-2.0
// The operator's hand on membership: what is answered, and which problem each mistake is.
#include "api/admin/regions.h"

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

class RegionsTest : public testing::Test {
 protected:
  RegionsTest() {
    RestOptions options;
    options.cluster = "test";
    options.tokens[sha256("reads")] = {"reader", Role::kReader};
    options.tokens[sha256("issues")] = {"issuer", Role::kIssuer};
    options.tokens[sha256("does all")] = {"alice", Role::kOperator};
    rest = std::make_unique<Rest>(options, *cluster.region(1).ca, cluster.store);
    mount({"one", "two"});
    cluster.store.proposed_at_ms = 1'700'000'000'000;
  }
  void mount(std::vector<std::string> names, store::RegionSet witnesses = 0) {
    router = Router{};
    regions = std::make_unique<Regions>(*rest, cluster.store, node_id(RegionId{1}, 1), std::move(names), witnesses,
                                        std::vector<NodeAddress>{{node_id(RegionId{3}, 1), "10.3.0.11", 9444, 2379}});
    regions->mount(router);
  }
  void vote(const std::vector<std::uint64_t>& nodes) {
    store::v1::Command command;
    command.mutable_change_replicas()->set_expected_epoch(cluster.store.epoch().value);
    for (const auto node : nodes) command.mutable_change_replicas()->add_nodes()->set_node(node);
    ASSERT_TRUE(testkit::finish(cluster.executor,
                                cluster.store.submit(cluster.executor, kGlobalGroup, std::move(command), 1s)));
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

  testkit::TestCa cluster{2};
  std::unique_ptr<Rest> rest;
  std::unique_ptr<Regions> regions;
  Router router;
};

TEST_F(RegionsTest, ARegionIsDrainedFencedAndServesAgain) {
  const Reply first = send("GET", "/v1/regions", "", "reads");
  ASSERT_EQ(first.status, 200);
  EXPECT_EQ(first.body["epoch"], 1);
  EXPECT_EQ(
      first.body["regions"][1],
      json({{"region", "two"}, {"state", "serving"}, {"epoch", 1}, {"crls", {{"signed_by", "two"}, {"epoch", 0}}}}));
  const Reply drained = send("POST", "/v1/regions/two/drain", R"({"reason": "new switches"})");
  ASSERT_EQ(drained.status, 200) << drained.body;
  EXPECT_EQ(drained.body["epoch"], 2);
  EXPECT_EQ(drained.body["region"]["state"], "draining");
  EXPECT_EQ(drained.body["region"]["by"], "alice");
  EXPECT_EQ(drained.body["region"]["since"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(drained.body["region"]["reason"], "new switches");
  EXPECT_EQ(send("POST", "/v1/regions/two/unfence").body["region"]["state"], "serving");
  EXPECT_EQ(send("GET", "/v1/regions").body["epoch"], 3);
}

TEST_F(RegionsTest, WhoSignsTheListsOfAFencedRegionIsShown) {
  const auto crls = [&] { return send("GET", "/v1/regions").body["regions"][1]["crls"]; };
  ASSERT_EQ(send("POST", "/v1/regions/two/fence").status, 200);
  EXPECT_EQ(crls(), json({{"signed_by", "one"}, {"epoch", 2}}));
  ASSERT_EQ(send("POST", "/v1/regions/two/unfence").status, 200);
  EXPECT_EQ(crls(), json({{"signed_by", "two"}, {"epoch", 3}}));
}

TEST_F(RegionsTest, WhatCannotBeIsAProblemThatSaysWhy) {
  EXPECT_EQ(send("POST", "/v1/regions/mars/drain").status, 404);
  EXPECT_EQ(send("POST", "/v1/regions/two/unfence").status, 409) << "it serves";
  ASSERT_EQ(send("POST", "/v1/regions/two/drain").status, 200);
  const Reply again = send("POST", "/v1/regions/two/drain");
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.body["detail"], "two: the region is draining already");
  const Reply last = send("POST", "/v1/regions/one/drain");
  EXPECT_EQ(last.status, 409);
  EXPECT_EQ(last.body["detail"], "one: no other region serves: admit one again before");
  EXPECT_EQ(send("POST", "/v1/regions/one/drain", R"({"why": "?"})").status, 400);
  EXPECT_EQ(send("POST", "/v1/regions/one/drain", "{").status, 400);
}

TEST_F(RegionsTest, OnlyOperatorsChangeAnything) {
  EXPECT_EQ(send("POST", "/v1/regions/two/drain", "", "issues").status, 403);
  EXPECT_EQ(send("POST", "/v1/regions/two/drain", "", "").status, 401);
  EXPECT_EQ(send("GET", "/v1/regions", "", "").status, 401);
}

TEST_F(RegionsTest, ARepetitionIsAnsweredAsTheFirstTime) {
  ASSERT_EQ(send("POST", "/v1/regions/two/drain", "", "does all", "k").body["epoch"], 2);
  const Reply again = send("POST", "/v1/regions/two/drain", "", "does all", "k");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body["epoch"], 2);
}

TEST_F(RegionsTest, ARegionIsNotAddedBeforeEveryVoterHasTheFileThatNamesIt) {
  EXPECT_EQ(send("PUT", "/v1/regions/three").status, 404) << "this node has not";
  mount({"one", "two", "three"});
  EXPECT_EQ(send("GET", "/v1/regions").body["regions"][2]["state"], "not added");
  vote({257, 513});
  const Reply refused = send("PUT", "/v1/regions/three");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.body["detail"].get<std::string>().find("the cluster file of two/1 does not name three"),
            std::string::npos)
      << refused.body;
  EXPECT_EQ(send("PUT", "/v1/regions/three", "", "issues").status, 403);
}

TEST_F(RegionsTest, AWitnessIsAddedAsOneAndOnlyWhenEveryFileSaysSo) {
  mount({"one", "two", "three"}, store::region_bit(RegionId{3}));
  vote({257, 513});
  const Reply refused = send("PUT", "/v1/regions/three");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.body["detail"].get<std::string>().find("does not name three as a witness"), std::string::npos)
      << refused.body;
  ASSERT_EQ(send("POST", "/v1/regions/two/drain").status, 200);
  vote({257});
  ASSERT_EQ(send("PUT", "/v1/regions/three").status, 202);
  EXPECT_TRUE(store::is_witness(store::member_of(cluster.store.membership()->record, RegionId{3})));
  const Reply admitted = send("POST", "/v1/regions/three/unfence");
  EXPECT_EQ(admitted.status, 200) << admitted.body;
  EXPECT_EQ(admitted.body["region"]["state"], "witness") << "an operator need not wait for attestations";
}

TEST_F(RegionsTest, ARegionIsNotAddedWhileTheMembersAreBeingChanged) {
  mount({"one", "two", "three"});
  cluster.store.learner = NodeId{513};
  vote({257, 513});
  const Reply refused = send("PUT", "/v1/regions/three");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.body["detail"].get<std::string>().find("are being changed"), std::string::npos) << refused.body;
  EXPECT_EQ(send("GET", "/v1/regions").body["regions"][2]["state"], "not added");
}

TEST_F(RegionsTest, ARegionThatServesNoMoreIsRemovedForGood) {
  mount({"one", "two", "three"});
  vote({257, 513});
  EXPECT_EQ(send("DELETE", "/v1/regions/mars").status, 404);
  EXPECT_EQ(send("DELETE", "/v1/regions/two", "", "issues").status, 403);
  EXPECT_EQ(send("DELETE", "/v1/regions/two", R"({"why": "?"})").status, 400);
  EXPECT_EQ(send("DELETE", "/v1/regions/three").status, 404) << "a region of the file alone";
  const Reply serves = send("DELETE", "/v1/regions/two");
  EXPECT_EQ(serves.status, 409);
  EXPECT_EQ(serves.body["detail"], "two: the region serves: drain or fence it first, until its clients have gone");
  ASSERT_EQ(send("POST", "/v1/regions/two/drain").status, 200);
  const Reply alone = send("DELETE", "/v1/regions/two");
  EXPECT_EQ(alone.status, 409);
  EXPECT_NE(alone.body["detail"].get<std::string>().find("the voters would be in one region"), std::string::npos);
}

TEST_F(RegionsTest, ARemovalTakesTheNodesAlongAndIsRepeatedAsTheFirstTime) {
  mount({"one", "two", "three"});
  ASSERT_EQ(send("POST", "/v1/regions/two/drain").status, 200);
  vote({257});
  ASSERT_EQ(send("PUT", "/v1/regions/three").status, 202);
  vote({257, 513, 769});
  const Reply removed = send("DELETE", "/v1/regions/two", R"({"reason": "too far"})", "does all", "k");
  ASSERT_LT(removed.status, 300) << removed.body;
  EXPECT_EQ(removed.body["region"]["state"], "removed");
  EXPECT_EQ(removed.body["region"]["reason"], "too far");
  EXPECT_EQ(removed.body["region"]["crls"]["signed_by"], "one");
  const auto& nodes = cluster.store.membership()->record.replicas().nodes();
  ASSERT_EQ(nodes.size(), 2);
  EXPECT_EQ(nodes[1].node(), 769u);
  const auto epoch = cluster.store.epoch();
  EXPECT_EQ(send("DELETE", "/v1/regions/two", R"({"reason": "too far"})", "does all", "k").status, removed.status);
  EXPECT_EQ(cluster.store.epoch(), epoch);
  for (const char* verb : {"fence", "unfence", "drain"}) {
    const Reply late = send("POST", std::string("/v1/regions/two/") + verb);
    EXPECT_EQ(late.status, 409) << verb;
    EXPECT_NE(late.body["detail"].get<std::string>().find("removed in epoch"), std::string::npos) << late.body;
  }
  EXPECT_EQ(send("PUT", "/v1/regions/two").status, 409);
  EXPECT_EQ(send("DELETE", "/v1/regions/two").status, 409);
}

TEST_F(RegionsTest, AnAddedRegionJoinsWithTheNodesOfTheFileAndRegionsAreAddedInOrder) {
  mount({"one", "two", "three", "four"});
  ASSERT_EQ(send("POST", "/v1/regions/two/drain").status, 200);
  vote({257});
  EXPECT_EQ(send("PUT", "/v1/regions/two").status, 409) << "it is one of the cluster's";
  const Reply early = send("PUT", "/v1/regions/four");
  EXPECT_EQ(early.status, 409);
  EXPECT_NE(early.body["detail"].get<std::string>().find("three comes before four"), std::string::npos) << early.body;
  const Reply added = send("PUT", "/v1/regions/three", R"({"reason": "the south"})");
  ASSERT_EQ(added.status, 202) << added.body;
  EXPECT_EQ(added.body["region"]["state"], "joining");
  EXPECT_EQ(added.body["region"]["reason"], "the south");
  const auto record = cluster.store.membership()->record;
  ASSERT_EQ(record.foundings_size(), 1);
  EXPECT_EQ(record.foundings(0).name(), "three");
  ASSERT_EQ(record.replicas().nodes_size(), 2);
  EXPECT_EQ(record.replicas().nodes(1).node(), 769u);
  EXPECT_EQ(record.replicas().nodes(1).address(), "10.3.0.11");
  const auto epoch = record.epoch();
  EXPECT_EQ(send("PUT", "/v1/regions/three").status, 202) << "it goes on";
  EXPECT_EQ(cluster.store.epoch().value, epoch) << "and nothing is done twice";
}

}  // namespace
}  // namespace evercert::api
