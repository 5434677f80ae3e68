// SPDX-License-Identifier: Apache-2.0
#include "api/failover/capacity.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "testkit/test_ca.h"

namespace evercert::api {
namespace {

TEST(CapacityApi, SaysHowManyRegionsMayFailAndIsForReaders) {
  testkit::TestCa cluster{2};
  RestOptions options;
  options.tokens[sha256("reads")] = {"reader", Role::kReader};
  const Rest rest(options, *cluster.region(1).ca, cluster.store);
  recovery::Cluster regions;
  regions.regions = {{RegionId{1}, "one"}, {RegionId{2}, "two"}};
  regions.nodes = {{node_id(RegionId{1}, 1), RegionId{1}}, {node_id(RegionId{2}, 1), RegionId{2}}};
  recovery::Planner planner(regions.nodes);
  // Of the second region's token there are fewer signatures left than of anything else.
  planner.measured(
      {{node_id(RegionId{1}, 1), 100, 1, 4, 0.5, 2, 30, 100}, {node_id(RegionId{2}, 1), 50, 1, 4, 0.5, 2, 40, 90}},
      Instant{1});
  Router router;
  mount_capacity(router, rest, regions, [&] { return planner.report(Instant{2}); });
  const auto ask = [&](const char* token) {
    net::HttpRequest request;
    request.method = "GET";
    request.target = request.path = "/v1/capacity";
    request.headers.set("Authorization", std::string("Bearer ") + token);
    request.executor = &cluster.executor;
    return testkit::finish(cluster.executor, router.route(std::move(request)));
  };
  EXPECT_EQ(ask("nobody").status, 401);
  const auto answer = ask("reads");
  ASSERT_EQ(answer.status, 200);
  const auto said = nlohmann::json::parse(answer.bytes());
  EXPECT_EQ(said["regions_may_fail"]["now"], 1);
  EXPECT_EQ(said["regions_may_fail"]["by_majority"], 0) << "with two regions nothing is issued without either";
  EXPECT_EQ(said["regions"][0]["region"], "one");
  EXPECT_TRUE(said["seconds_until_n1_is_lost"].is_null());
  EXPECT_EQ(said["regions"][1]["edges_busy"], 0.5);
  EXPECT_EQ(said["regions"][1]["edges_cores"], 2);
  EXPECT_EQ(said["regions"][1]["signatures_per_second"], 40);
  EXPECT_EQ(said["regions"][1]["most_signatures_per_second"], 90);
  EXPECT_EQ(said["regions"][1]["bound_by"], "the HSM");
  EXPECT_EQ(said["after"][1]["bound_by"], "the HSM");
  EXPECT_NEAR(said["after"][1]["bound_utilisation"].get<double>(), 70.0 / 90, 1e-9);
  planner.measured({{node_id(RegionId{1}, 1), 100, 1, 4}, {node_id(RegionId{2}, 1), 50, 1, 4}}, Instant{2});
  const auto files = nlohmann::json::parse(ask("reads").bytes());
  EXPECT_TRUE(files["regions"][1]["edges_cores"].is_null()) << "nobody has seen its edges";
  EXPECT_TRUE(files["regions"][1]["most_signatures_per_second"].is_null()) << "its keys are in no token";
  EXPECT_TRUE(files["regions"][1]["carries_nothing"].is_null());
  planner.measured(
      {{node_id(RegionId{1}, 1), 100, 1, 4, 0.5, 2, 0, 0, 2, 2}, {node_id(RegionId{2}, 1), 50, 1, 4, 0, 0, 0, 0, 2, 0}},
      Instant{3});
  const auto dead = nlohmann::json::parse(ask("reads").bytes());
  EXPECT_EQ(dead["regions"][1]["most_requests_per_second"], 0);
  EXPECT_EQ(dead["regions"][1]["carries_nothing"], "none of its 2 edges answers: no client reaches its nodes");
  EXPECT_TRUE(dead["regions"][0]["carries_nothing"].is_null());
  planner = recovery::Planner(regions.nodes);
  planner.measured({{node_id(RegionId{1}, 1), 100, 1, 4}}, Instant{1});
  const auto gone = nlohmann::json::parse(ask("reads").bytes());
  EXPECT_EQ(gone["regions"][1]["carries_nothing"], "none of its nodes is heard");
}

}  // namespace
}  // namespace evercert::api
