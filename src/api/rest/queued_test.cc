// SPDX-License-Identifier: Apache-2.0
// What clients, edges and operators are told while there is no majority, and afterwards.
#include "api/rest/queued.h"

#include <gtest/gtest.h>

#include "api/rest/performer.h"
#include "base/encoding.h"
#include "base/log.h"
#include "testkit/test_ca.h"

namespace evercert::api {
namespace {

using nlohmann::json;

struct Reply {
  int status = 0;
  net::Headers headers;
  json body;
};

class QueuedTest : public testing::Test {
 protected:
  QueuedTest() {
    set_log_level(LogLevel::kOff);
    policy.issuance.queue = policy.renewal.queue = true;
    for (std::uint32_t group = 0; group <= 2; ++group) {
      store::GroupStatus status;
      status.group = GroupId{group};
      cluster.store.status.push_back(status);
    }
    RestOptions options;
    options.region = "region-1";
    options.cluster = "test";
    options.tokens[sha256("reads")] = {"reader", Role::kReader};
    options.tokens[sha256("issues")] = {"issuer", Role::kIssuer};
    options.tokens[sha256("does all")] = {"operator", Role::kOperator};
    rest = std::make_unique<Rest>(options, ca(), cluster.store);
    desk = degraded::Desk::open({node_id(RegionId{1}, 1), {}, 200ms}, disk, "/queue", life, cluster.clock, cluster.wall,
                                os::secure_random());
    mode = std::make_unique<degraded::ModeKeeper>(
        std::vector<std::string>{"global", "region-1", "region-2"}, cluster.store,
        [this] { return desk->summary().queue.waiting; }, cluster.wall, life);
    mode->start();
    deferral = std::make_unique<Deferral>(policy, *desk, *mode, cluster.wall);
    rest->defer_by(*deferral);
    rest->mount(router);
    queued = std::make_unique<Queued>(*rest, ca(), *desk, node_id(RegionId{1}, 1), [](NodeId node) {
      return region_of(node).value <= 2 ? "region-" + std::to_string(region_of(node).value) : "";
    });
    queued->mount(router);
    desk->start([this](Executor& on, degraded::v1::Operation o) { return perform_queued(ca(), on, std::move(o)); },
                [this] { return mode->view().mode != degraded::Mode::kNoMajority; },
                {[](const auto&) {}, [](const auto&) {}});
  }
  ~QueuedTest() override { set_log_level(LogLevel::kInfo); }

  ca::CertificateAuthority& ca() { return *cluster.region(1).ca; }
  void lose_majority(bool lost = true) {
    for (auto& group : cluster.store.status) group.quorum_lost_ms = lost ? std::optional(6000) : std::nullopt;
    cluster.store.fresh = !lost;
    pass(1s);
  }
  void pass(Duration time) {
    for (; time > 0us; time -= 100ms) {
      cluster.clock.advance(100ms);
      cluster.executor.advance(100ms);
    }
  }
  struct Call {
    std::string token = "issues";
    net::Headers headers = {};
    std::string identity = {};
  };
  Reply send(const std::string& method, const std::string& path, const std::string& body, Call call) {
    net::HttpRequest request;
    request.method = method;
    request.target = request.path = path;
    request.headers = call.headers;
    request.headers.set("Authorization", "Bearer " + call.token);
    request.client_identity = call.identity;
    request.body = body;
    request.executor = &cluster.executor;
    const auto response = testkit::finish(cluster.executor, router.route(std::move(request)));
    return {response.status, response.headers, json::parse(response.bytes(), nullptr, false)};
  }
  Reply issue(Call call, const json& more = json::object()) {
    json body{{"csr", csr}, {"profile", "server"}};
    body.update(more);
    return send("POST", "/v1/certificates", body.dump(), std::move(call));
  }
  Reply issue() { return issue(Call{}); }
  Reply revoke(const std::string& serial, Call call) {
    return send("POST", "/v1/certificates/" + serial + "/revoke", R"({"reason":"keyCompromise"})", std::move(call));
  }
  Reply revoke(const std::string& serial) { return revoke(serial, Call{}); }
  Reply look(const std::string& id) { return send("GET", "/v1/queued/" + id, "", {"reads", {}, {}}); }
  static Call by_edge(const std::string& id, bool queue) {
    Call call{"issues", {}, "evercert://test/edge/region-1/1"};
    call.headers.set("Evercert-Request-Id", id);
    if (queue) call.headers.set(kQueue, "yes");
    return call;
  }

  testkit::TestCa cluster{2};
  FakeDisk disk;
  testkit::MortalExecutor life{cluster.executor};
  degraded::Policy policy;
  std::unique_ptr<Rest> rest;
  std::unique_ptr<degraded::Desk> desk;
  std::unique_ptr<degraded::ModeKeeper> mode;
  std::unique_ptr<Deferral> deferral;
  std::unique_ptr<Queued> queued;
  Router router;
  const std::string csr = testkit::TestCa::csr_pem({"a.test"});
};

TEST_F(QueuedTest, WhatIsQueuedIsNotToldToBeDoneAndIsDoneInTheEnd) {
  const std::string serial = issue().body["serial"];
  lose_majority();
  const Reply waits = revoke(serial);
  ASSERT_EQ(waits.status, 202) << waits.body;
  EXPECT_EQ(waits.body["status"], "queued");
  EXPECT_EQ(waits.headers.get("Location"), "/v1/queued/" + waits.body["id"].get<std::string>());
  const Reply wanted = issue();
  ASSERT_EQ(wanted.status, 202) << wanted.body;
  EXPECT_EQ(send("GET", "/v1/certificates/" + serial, "", {}).body["status"], "good");
  EXPECT_EQ(look(waits.body["id"]).body["status"], "queued");
  const Reply listed = send("GET", "/v1/queued", "", {"reads", {}, {}});
  ASSERT_EQ(listed.body["operations"].size(), 2u);
  EXPECT_EQ(listed.body["operations"][0]["kind"], "revocation");
  lose_majority(false);
  pass(2s);
  const Reply done = look(waits.body["id"]);
  EXPECT_EQ(done.body["status"], "done");
  EXPECT_EQ(done.body["serial"], serial);
  const Reply made = look(wanted.body["id"]);
  ASSERT_EQ(made.body["status"], "done") << made.body;
  EXPECT_NE(made.body["certificate"].get<std::string>().find("BEGIN CERTIFICATE"), std::string::npos);
  EXPECT_EQ(send("GET", "/v1/certificates/" + serial, "", {}).body["status"], "revoked");
  EXPECT_EQ(cluster.store.certificate_count(), 2u);
  const Reply reports = send("GET", "/v1/reconciliations", "", {"reads", {}, {}});
  ASSERT_EQ(reports.body["reconciliations"].size(), 1u);
  EXPECT_EQ(reports.body["reconciliations"][0]["operations"]["revocation"]["done"], 1);
}

TEST_F(QueuedTest, AnAttemptWhoseAnswerIsLostIsRepeatedAsTheSameOne) {
  lose_majority();
  const std::string id = issue().body["id"];
  using Fate = testkit::MemoryStore::Fate;
  cluster.store.next(Fate::kAnswerLost, store::v1::Command::kIssue);
  cluster.store.next(Fate::kAnswerLost, store::v1::Command::kClaimRequestKey);
  lose_majority(false);
  pass(60s);
  const Reply made = look(id);
  ASSERT_EQ(made.body["status"], "done") << made.body;
  std::size_t good = 0;
  const auto all = cluster.store.list_certificates("", 100).value();
  for (const auto& one : all) good += one.revoked() ? 0 : 1;
  EXPECT_EQ(good, 1u) << "nobody else has one";
}

TEST_F(QueuedTest, AWriteThatIsRefusedAsTheMajorityGoesIsQueuedToo) {
  const std::string serial = issue().body["serial"];
  cluster.store.next(testkit::MemoryStore::Fate::kRefused, store::v1::Command::kRevoke);
  for (auto& group : cluster.store.status) group.quorum_lost_ms = 5001;  // the last look was before
  EXPECT_EQ(revoke(serial).status, 202);
  lose_majority(false);
  cluster.store.next(testkit::MemoryStore::Fate::kRefused, store::v1::Command::kRevoke);
  EXPECT_EQ(revoke(issue().body["serial"]).status, 503) << "with a majority a refusal is one";
}

TEST_F(QueuedTest, AnEdgeIsAskedToLookElsewhereFirst) {
  const std::string serial = issue().body["serial"];
  lose_majority();
  const std::string id(30, 'a');
  const Reply offered = revoke(serial, by_edge(id, false));
  EXPECT_EQ(offered.status, 503);
  EXPECT_EQ(offered.headers.get(kMayQueue), "yes");
  EXPECT_EQ(desk->summary().queue.waiting, 0u);
  const Reply first = revoke(serial, by_edge(id, true));
  EXPECT_EQ(first.status, 202);
  EXPECT_EQ(revoke(serial, by_edge(id, true)).body["id"], first.body["id"]) << "an edge repeats its own requests";
  Call forged{"issues", {}, {}};
  forged.headers.set("Evercert-Request-Id", id);
  EXPECT_NE(revoke(serial, forged).body["id"], first.body["id"]) << "only an edge may";
}

TEST_F(QueuedTest, ThePolicyDecidesAndSaysSo) {
  degraded::Policy strict;
  strict.revocation.queue = false;
  deferral = std::make_unique<Deferral>(strict, *desk, *mode, cluster.wall);
  rest->defer_by(*deferral);
  const std::string serial = issue().body["serial"];
  lose_majority();
  for (const Reply& refused : {issue(), revoke(serial), revoke(serial, by_edge(std::string(30, 'a'), true))}) {
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.headers.get("Retry-After"), kRetryDegraded);
    EXPECT_FALSE(refused.headers.find(kMayQueue));
    EXPECT_NE(refused.body["detail"].get<std::string>().find("policy"), std::string::npos) << refused.body;
    EXPECT_NE(refused.body["detail"].get<std::string>().find("no majority"), std::string::npos) << refused.body;
  }
  EXPECT_EQ(desk->summary().queue.waiting, 0u);
}

TEST_F(QueuedTest, WhatCouldNeverBeDoneIsRefusedAtOnce) {
  lose_majority();
  EXPECT_EQ(issue(Call{}, {{"profile", "root"}}).status, 400);
  EXPECT_EQ(issue(Call{}, {{"csr", "nonsense"}}).status, 400);
  EXPECT_EQ(issue(Call{}, {{"replaces", "xyz"}}).status, 400);
  EXPECT_EQ(issue(Call{}, {{"replaces", ""}}).status, 400);
  EXPECT_EQ(issue(Call{}, {{"replaces", 1}}).status, 400);
  EXPECT_EQ(issue({"reads", {}, {}}).status, 403);
  EXPECT_EQ(revoke("xyz").status, 400);
  EXPECT_EQ(revoke("ff").status, 404) << "of no region";
  EXPECT_EQ(desk->summary().queue.waiting, 0u);
}

TEST_F(QueuedTest, KeysAreHonoured) {
  Call keyed;
  keyed.headers.set("Idempotency-Key", "k");
  const Reply before = issue(keyed);
  ASSERT_EQ(before.status, 201);
  lose_majority();
  EXPECT_EQ(issue(keyed).body["serial"], before.body["serial"]) << "what is known needs no majority";
  keyed.headers.set("Idempotency-Key", "k2");
  const Reply waits = issue(keyed);
  ASSERT_EQ(waits.status, 202);
  EXPECT_EQ(issue(keyed).body["id"], waits.body["id"]);
  EXPECT_EQ(issue(keyed, {{"csr", testkit::TestCa::csr_pem({"b.test"})}}).status, 409);
  lose_majority(false);
  // The client does not wait for the queue.
  const Reply direct = issue(keyed);
  EXPECT_EQ(direct.status, 201);
  pass(2s);
  EXPECT_EQ(look(waits.body["id"]).body["serial"], direct.body["serial"]);
}

TEST_F(QueuedTest, OnlyAKnownCertificateMakesARenewal) {
  const std::string serial = issue().body["serial"];
  lose_majority();
  EXPECT_EQ(issue(Call{}, {{"replaces", serial}}).body["kind"], "renewal");
  EXPECT_EQ(issue(Call{}, {{"replaces", "01" + std::string(30, '0')}}).body["kind"], "issuance");
}

TEST_F(QueuedTest, OperatorsDropAndOthersDoNot) {
  lose_majority();
  const std::string id = issue().body["id"];
  EXPECT_EQ(send("DELETE", "/v1/queued/" + id, "", {}).status, 403);
  EXPECT_EQ(send("DELETE", "/v1/queued/" + id, "", {"does all", {}, {}}).body["status"], "dropped");
  EXPECT_EQ(send("DELETE", "/v1/queued/" + id, "", {"does all", {}, {}}).status, 409);
  lose_majority(false);
  pass(2s);
  EXPECT_EQ(cluster.store.certificate_count(), 0u);
}

TEST_F(QueuedTest, AnIdSaysWhomToAsk) {
  for (const char* path : {"/v1/queued", "/v1/queued/0101", "/v1/reconciliations"})
    EXPECT_EQ(send("GET", path, "", {"", {}, {}}).status, 401) << path;
  EXPECT_EQ(look("xyz").status, 400);
  EXPECT_EQ(look("0101" + std::string(24, '0')).status, 404) << "of this node, and not there";
  const Reply elsewhere = look("0201" + std::string(24, '0'));
  EXPECT_EQ(elsewhere.status, 503) << "an edge goes on to the next node";
  EXPECT_NE(elsewhere.body["detail"].get<std::string>().find("region-2"), std::string::npos);
  EXPECT_EQ(look("0901" + std::string(24, '0')).status, 404) << "of no node";
}

}  // namespace
}  // namespace evercert::api
