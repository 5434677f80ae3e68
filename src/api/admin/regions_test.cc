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
    regions = std::make_unique<Regions>(*rest, cluster.store, std::vector<std::string>{"one", "two"});
    regions->mount(router);
    cluster.store.proposed_at_ms = 1'700'000'000'000;
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

}  // namespace
}  // namespace evercert::api
