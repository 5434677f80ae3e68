// SPDX-License-Identifier: Apache-2.0
// To whom a share of a standby is given, and to whom not.
#include "api/admin/standby_shares.h"

#include <gtest/gtest.h>

#include "testkit/fakes.h"
#include "testkit/memory_store.h"

namespace evercert::api {
namespace {

class StandbySharesTest : public testing::Test {
 protected:
  StandbySharesTest() : shares("test", {"one", "two", "three"}, {{"two", "2 1 00ff\n"}, {"three", "2 1 01\n"}}, store) {
    shares.mount(router);
  }
  net::HttpResponse ask(const std::string& issuer, const std::string& identity, const std::string& said = "") {
    net::HttpRequest request;
    request.method = "GET";
    request.target = request.path = "/v1/standby/" + issuer + "/share";
    request.client_identity = identity;
    if (!said.empty()) request.headers.set("Evercert-Client-Identity", said);
    request.executor = &executor;
    return testkit::finish(executor, router.route(std::move(request)));
  }
  static std::string node(int region) {
    return "evercert://test/node/" + std::to_string(node_id(RegionId{static_cast<std::uint8_t>(region)}, 1).value);
  }
  void put(std::uint32_t region, store::v1::RegionState state) {
    store::v1::Command command;
    command.mutable_change_membership()->set_expected_epoch(store.epoch().value);
    command.mutable_change_membership()->set_region(region);
    command.mutable_change_membership()->set_state(state);
    ASSERT_TRUE(testkit::finish(executor, store.submit(executor, kGlobalGroup, command, 1s)).has_value());
  }

  testkit::ManualExecutor executor;
  testkit::MemoryStore store{3};
  StandbyShares shares;
  Router router;
};

TEST_F(StandbySharesTest, AShareIsGivenToWhoStandsInAndOnlyWhileItDoes) {
  EXPECT_EQ(ask("two", node(3)).status, 403) << "region two serves";
  put(2, store::v1::FENCED);
  const auto given = ask("two", node(3));
  EXPECT_EQ(given.status, 200);
  EXPECT_EQ(given.body, "2 1 00ff\n");
  EXPECT_EQ(given.headers.get("Cache-Control"), "no-store");
  EXPECT_EQ(ask("two", node(2)).status, 403) << "not to the fenced region, whose key may be in wrong hands";
  EXPECT_EQ(ask("two", node(1)).status, 403) << "nor to another that does not stand in";
  EXPECT_EQ(ask("three", node(3)).status, 403) << "nor of a region that serves";
  put(2, store::v1::SERVING);
  EXPECT_EQ(ask("two", node(3)).status, 403) << "the activation is over";
}

TEST_F(StandbySharesTest, OnlyANodesOwnConnectionCounts) {
  put(2, store::v1::FENCED);
  EXPECT_EQ(ask("two", "").status, 403);
  EXPECT_EQ(ask("two", "evercert://test/edge/three/1", node(3)).status, 403) << "what an edge says of its client";
  EXPECT_EQ(ask("two", "evercert://test/operator/admin").status, 403);
  EXPECT_EQ(ask("two", "evercert://other/node/769").status, 403);
  EXPECT_EQ(ask("two", node(3) + "x").status, 403);
  EXPECT_EQ(ask("two", "evercert://test/node/").status, 403);
}

TEST_F(StandbySharesTest, WhatThisRegionDoesNotHaveIsNotFound) {
  put(1, store::v1::FENCED);
  EXPECT_EQ(ask("one", node(2)).status, 404);
  EXPECT_EQ(ask("mars", node(2)).status, 404);
}

}  // namespace
}  // namespace evercert::api
