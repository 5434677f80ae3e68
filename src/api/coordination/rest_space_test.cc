// SPDX-License-Identifier: Apache-2.0
// The contract of the key space by REST, on the real state machine.
#include "api/coordination/rest_space.h"

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

class RestSpaceTest : public testing::Test {
 protected:
  RestSpaceTest() {
    cluster.store.on_coordination(
        [this](const coordination::Effects& effects) {
          hub.applied(effects);
          contenders.applied(effects);
        },
        [this] {
          hub.replaced();
          contenders.replaced();
        });
    space.mount(router);
  }
  Task<net::HttpResponse> ask(const std::string& method, const std::string& target, const json& body,
                              const std::string& token) {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.path = target.substr(0, target.find('?'));
    request.query = target.find('?') == std::string::npos ? "" : target.substr(target.find('?') + 1);
    request.headers.set("Authorization", "Bearer " + token);
    request.headers.set("Content-Type", "application/json");
    if (!body.is_null()) request.body = body.dump();
    request.executor = &cluster.executor;
    return router.route(std::move(request));
  }
  Reply send(const std::string& method, const std::string& target, const json& body = nullptr,
             const std::string& token = "does all") {
    const auto response = testkit::finish(cluster.executor, ask(method, target, body, token));
    return {response.status, json::parse(response.bytes(), nullptr, false)};
  }
  // Begins a request that may have to wait.
  std::shared_ptr<std::optional<Reply>> begin(const std::string& method, const std::string& target,
                                              const json& body = nullptr) {
    auto reply = std::make_shared<std::optional<Reply>>();
    spawn(ask(method, target, body, "does all"), [reply](const net::HttpResponse& response) {
      reply->emplace(Reply{response.status, json::parse(response.bytes(), nullptr, false)});
    });
    cluster.executor.run();
    return reply;
  }
  std::string lease() { return send("POST", "/v1/leases", {{"ttl_seconds", 30}}).body["lease"]; }

  static RestOptions options() {
    RestOptions options;
    options.region = "region-1";
    options.cluster = "test";
    options.tokens[sha256("reads")] = {"reader", Role::kReader};
    options.tokens[sha256("does all")] = {"operator", Role::kOperator};
    return options;
  }

  testkit::TestCa cluster{1};
  Rest rest{options(), *cluster.region(1).ca, cluster.store};
  Coordinator coordinator{{NodeId{257}, 1, 7, 7s, 2}, cluster.store, cluster.store, os::secure_random()};
  coordination::WatchHub hub{[this] { return cluster.store.coordination_view(); }};
  coordination::LockTable contenders{[this] { return cluster.store.coordination_view(); }};
  Locks locks{coordinator, contenders};
  RestSpace space{rest, coordinator, locks, hub};
  Router router;
};

TEST_F(RestSpaceTest, WhatWasCompactedIsGoneAndAWatchOfItIsToldUpToWhere) {
  for (const char* value : {"1", "2", "3"}) send("PUT", "/v1/kv/a", {{"value", value}});
  EXPECT_EQ(send("POST", "/v1/compaction", {{"revision", 3}}, "reads").status, 403);
  EXPECT_EQ(send("POST", "/v1/compaction").status, 400);
  EXPECT_EQ(send("POST", "/v1/compaction", {{"revision", 99}}).status, 400);
  EXPECT_EQ(send("POST", "/v1/compaction", {{"revision", 3}}).body["compacted"], 3);
  const auto watched = send("GET", "/v1/watch/a?from=2&wait_seconds=0");
  EXPECT_EQ(watched.status, 410);
  EXPECT_EQ(watched.body["compacted"], 3);
  EXPECT_EQ(send("GET", "/v1/watch/a?from=3&wait_seconds=0").body["events"].size(), 2u);
  EXPECT_EQ(send("GET", "/v1/kv/a?revision=3").body["value"], "2");
  EXPECT_GE(send("GET", "/v1/kv/a?revision=2").status, 400);
}

TEST_F(RestSpaceTest, AKeyIsSetShownAndRemoved) {
  EXPECT_EQ(send("GET", "/v1/kv/config/mode").status, 404);
  EXPECT_EQ(send("PUT", "/v1/kv/config/mode", {{"value", "strict"}}).body["revision"], 2);
  const auto got = send("GET", "/v1/kv/config/mode");
  EXPECT_EQ(got.body["value"], "strict");
  EXPECT_EQ(got.body["mod_revision"], 2);
  EXPECT_EQ(send("DELETE", "/v1/kv/config/mode").body["deleted"], 1);
  EXPECT_EQ(send("GET", "/v1/kv/config/mode").status, 404);
  EXPECT_EQ(send("GET", "/v1/kv/config/mode?revision=2").body["value"], "strict");
}

TEST_F(RestSpaceTest, BytesThatAreNoTextAreBase64AndPathsArePercentDecoded) {
  EXPECT_EQ(send("PUT", "/v1/kv/a%20b%ff", {{"value_base64", "/wA="}}).status, 200);
  const auto got = send("GET", "/v1/kv/a%20b%FF");
  EXPECT_EQ(got.body["value_base64"], "/wA=");
  EXPECT_EQ(got.body["key_base64"], to_base64("a b\xff"));
  EXPECT_EQ(send("GET", "/v1/kv/a%2").status, 400);
}

TEST_F(RestSpaceTest, CompareAndSetRefusesWhatIsStale) {
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"value", "1"}, {"if_revision", 0}}).status, 200);
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"value", "1"}, {"if_revision", 0}}).status, 409);
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"value", "2"}, {"if_revision", 2}}).status, 200);
  EXPECT_EQ(send("DELETE", "/v1/kv/a?if_revision=2").status, 409);
  EXPECT_EQ(send("DELETE", "/v1/kv/a?if_revision=3").status, 200);
}

TEST_F(RestSpaceTest, ReadersReadAndOnlyOperatorsWrite) {
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"value", "1"}}, "reads").status, 403);
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"value", "1"}}, "nobody").status, 401);
  send("PUT", "/v1/kv/a", {{"value", "1"}});
  EXPECT_EQ(send("GET", "/v1/kv/a", nullptr, "reads").status, 200);
  EXPECT_EQ(send("PUT", "/v1/kv/evercert.internal/x", {{"value", "1"}}).status, 403);
}

TEST_F(RestSpaceTest, AWatchAnswersWithWhatCameAndWhereToGoOn) {
  send("PUT", "/v1/kv/w", {{"value", "1"}});
  auto reply = send("GET", "/v1/watch/w?from=1");
  ASSERT_EQ(reply.body["events"].size(), 1u);
  EXPECT_EQ(reply.body["next"], 3);
  const auto waiting = begin("GET", "/v1/watch/w?from=3");
  EXPECT_FALSE(waiting->has_value());
  send("PUT", "/v1/kv/other", {{"value", "1"}});
  EXPECT_FALSE(waiting->has_value());
  send("PUT", "/v1/kv/w", {{"value", "2"}});
  cluster.executor.run();
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->body["events"][0]["value"], "2");
  reply = send("GET", "/v1/watch/w?from=5&wait_seconds=1");
  EXPECT_EQ(reply.body["events"].size(), 0u);
  EXPECT_EQ(reply.body["next"], 5);
}

TEST_F(RestSpaceTest, ALockGoesFromHolderToHolderWithAHigherToken) {
  const std::string first = lease(), second = lease();
  const auto held = send("POST", "/v1/locks/job", {{"lease", first}, {"value", "me"}});
  ASSERT_EQ(held.status, 200) << held.body;
  EXPECT_EQ(send("POST", "/v1/locks/job", {{"lease", first}, {"value", "me"}}).body["token"], held.body["token"]);
  EXPECT_EQ(send("POST", "/v1/locks/job", {{"lease", second}, {"wait_seconds", 1}}).status, 409);
  const auto waiting = begin("POST", "/v1/locks/job", {{"lease", second}});
  EXPECT_FALSE(waiting->has_value());
  EXPECT_EQ(send("GET", "/v1/locks/job").body["value"], "me");
  const std::string token = std::to_string(held.body["token"].get<int>());
  EXPECT_EQ(send("DELETE", "/v1/locks/job?lease=" + first + "&token=1").status, 409);
  EXPECT_EQ(send("DELETE", "/v1/locks/job?lease=" + first + "&token=" + token).status, 200);
  cluster.executor.run();
  ASSERT_TRUE(waiting->has_value());
  EXPECT_GT((*waiting)->body["token"].get<int>(), held.body["token"].get<int>());
}

TEST_F(RestSpaceTest, WhoLeadsMaySayAnotherValueAndNobodyElseMay) {
  const auto mine = lease();
  const auto token = send("POST", "/v1/locks/boss", {{"lease", mine}, {"value", "one"}}).body["token"];
  EXPECT_EQ(send("PUT", "/v1/locks/boss", {{"lease", mine}, {"token", token}, {"value", "two"}}).status, 200);
  const auto leader = send("GET", "/v1/locks/boss");
  EXPECT_EQ(leader.body["value"], "two");
  EXPECT_EQ(leader.body["token"], token);
  EXPECT_GT(leader.body["revision"], token);
  EXPECT_EQ(send("PUT", "/v1/locks/boss", {{"lease", lease()}, {"token", token}, {"value", "three"}}).status, 409);
  EXPECT_EQ(send("PUT", "/v1/locks/boss", {{"lease", mine}, {"value", "three"}}).status, 400);
  EXPECT_EQ(send("PUT", "/v1/locks/boss", {{"lease", mine}, {"token", token}}, "reads").status, 403);
}

TEST_F(RestSpaceTest, ALeaseThatEndsFreesItsLock) {
  const std::string first = lease(), second = lease();
  send("POST", "/v1/locks/job", {{"lease", first}});
  const auto waiting = begin("POST", "/v1/locks/job", {{"lease", second}});
  EXPECT_EQ(send("GET", "/v1/leases/" + first).body["keys"].size(), 1u);
  EXPECT_EQ(send("DELETE", "/v1/leases/" + first).status, 200);
  cluster.executor.run();
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->status, 200);
  EXPECT_EQ(send("POST", "/v1/leases/" + first + "/renew").status, 404);
  EXPECT_EQ(send("POST", "/v1/leases/" + second + "/renew").status, 200);
  EXPECT_EQ(send("GET", "/v1/leases").body["leases"].size(), 1u);
}

TEST_F(RestSpaceTest, WithoutFreshnessNothingIsRead) {
  send("PUT", "/v1/kv/a", {{"value", "1"}});
  cluster.store.fresh = false;
  EXPECT_GE(send("GET", "/v1/kv/a").status, 500);
  EXPECT_EQ(send("GET", "/v1/kv/a?serializable=true").body["value"], "1");
}

TEST_F(RestSpaceTest, ALostAnswerIsToldAsUnknown) {
  cluster.store.next(testkit::MemoryStore::Fate::kAnswerLost);
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"value", "1"}}).status, 504);
}

TEST_F(RestSpaceTest, MistakesAreExplained) {
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"valu", "1"}}).status, 400);
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"value", 1}}).status, 400);
  EXPECT_EQ(send("PUT", "/v1/kv/a", {{"value", "1"}, {"lease", "ff"}}).status, 404);
  EXPECT_EQ(send("GET", "/v1/kv/a?limit=0").status, 400);
  EXPECT_EQ(send("GET", "/v1/kv/a?revision=99").status, 400);
  EXPECT_EQ(send("GET", "/v1/leases/xyz").status, 400);
  EXPECT_EQ(send("DELETE", "/v1/locks/a?lease=1").status, 400);
}

}  // namespace
}  // namespace evercert::api
