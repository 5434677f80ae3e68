// SPDX-License-Identifier: Apache-2.0
// The contract of /v1: what is answered, and which problem each mistake is.
#include "api/rest/rest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/encoding.h"
#include "keys/software_signer.h"
#include "testkit/test_ca.h"

namespace evercert::api {
namespace {

using nlohmann::json;
using testkit::MemoryStore;

struct Reply {
  int status = 0;
  net::Headers headers;
  json body;
};

class RestTest : public testing::Test {
 protected:
  RestTest() {
    for (std::size_t r = 1; r <= 2; ++r) {
      RestOptions options;
      options.region = "region-" + std::to_string(r);
      options.cluster = "test";
      options.tokens[sha256("reads")] = {"reader", Role::kReader};
      options.tokens[sha256("issues")] = {"issuer", Role::kIssuer};
      options.tokens[sha256("does all")] = {"operator", Role::kOperator};
      rests.push_back(std::make_unique<Rest>(options, *cluster.region(r).ca, cluster.store));
      rests.back()->mount(routers[r]);
    }
  }
  struct Call {
    std::string token = "issues";
    net::Headers headers = {};
    std::string identity = {};
    std::size_t region = 1;
  };
  static Call keyed(const std::string& key, std::size_t region = 1) {
    Call call;
    call.headers.set("Idempotency-Key", key);
    call.region = region;
    return call;
  }
  Reply send(const std::string& method, const std::string& target, const std::string& body, Call call) {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.path = target.substr(0, target.find('?'));
    request.query = target.find('?') == std::string::npos ? "" : target.substr(target.find('?') + 1);
    request.headers = call.headers;
    if (!call.token.empty()) request.headers.set("Authorization", "Bearer " + call.token);
    request.headers.set("Content-Type", "application/json");
    request.client_identity = call.identity;
    request.body = body;
    request.executor = &cluster.executor;
    const auto response = testkit::finish(cluster.executor, routers.at(call.region).route(std::move(request)));
    return {response.status, response.headers, json::parse(response.bytes(), nullptr, false)};
  }
  Reply send(const std::string& method, const std::string& target, const std::string& body = "") {
    return send(method, target, body, Call{});
  }
  static std::string body_for(const std::string& pem, const std::string& profile = "server") {
    return json{{"csr", pem}, {"profile", profile}}.dump();
  }
  Reply issue(const std::string& pem, Call call) {
    return send("POST", "/v1/certificates", body_for(pem), std::move(call));
  }
  Reply issue(const std::string& pem) { return issue(pem, Call{}); }
  Reply revoke(const std::string& serial, const std::string& reason, Call call) {
    return send("POST", "/v1/certificates/" + serial + "/revoke", json{{"reason", reason}}.dump(), std::move(call));
  }
  Reply revoke(const std::string& serial, const std::string& reason) { return revoke(serial, reason, Call{}); }
  static void expect_problem(const Reply& reply, int status, const std::string& what) {
    EXPECT_EQ(reply.status, status) << what << ": " << reply.body;
    EXPECT_EQ(reply.headers.get("Content-Type"), "application/problem+json") << what;
    EXPECT_EQ(reply.body.value("status", 0), status) << what;
    EXPECT_FALSE(reply.body.value("title", "").empty()) << what;
    EXPECT_FALSE(reply.body.value("detail", "").empty()) << what;
    EXPECT_TRUE(reply.body.contains("type")) << what;
  }

  testkit::TestCa cluster{2};
  std::vector<std::unique_ptr<Rest>> rests;
  std::map<std::size_t, Router> routers;
  const std::string csr = testkit::TestCa::csr_pem({"a.test"});
};

TEST_F(RestTest, AKeyThatNoRecordCouldHoldIsRefusedWithTheReason) {
  for (const std::string& key :
       {std::string("caf\xe9"), std::string("\xff\xfe"), std::string("a\tb"), std::string(256, 'k')}) {
    const auto issued = issue(csr, keyed(key));
    EXPECT_EQ(issued.status, 400);
    EXPECT_NE(issued.body.value("detail", "").find("Idempotency-Key"), std::string::npos) << issued.body;
    EXPECT_EQ(revoke("01" + std::string(30, '0'), "superseded", keyed(key)).status, 400);
  }
}

TEST_F(RestTest, ACertificateIsIssuedFoundListedAndRevoked) {
  const Reply made = issue(csr);
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string serial = made.body["serial"];
  EXPECT_EQ(made.headers.get("Location"), "/v1/certificates/" + serial);
  EXPECT_EQ(made.body["region"], "region-1");
  EXPECT_TRUE(made.body["epoch"].is_number());
  const Reply found = send("GET", "/v1/certificates/" + serial, "", {"reads", {}, {}, 2});
  EXPECT_EQ(found.status, 200);
  EXPECT_EQ(found.body["status"], "good");
  EXPECT_EQ(found.body["certificate"], made.body["certificate"]);
  EXPECT_TRUE(found.body["revoked_at"].is_null() && found.body["reason"].is_null());
  const Reply revoked = revoke(serial, "superseded", {"issues", {}, {}, 2});
  EXPECT_EQ(revoked.status, 200);
  EXPECT_EQ(revoked.body["status"], "revoked");
  EXPECT_EQ(revoked.body["reason"], "superseded");
  EXPECT_EQ(send("GET", "/v1/certificates/" + serial).body["status"], "revoked");
  EXPECT_EQ(send("GET", "/v1/certificates").body["certificates"][0]["status"], "revoked");
}

TEST_F(RestTest, ARevocationHappensOnce) {
  const std::string serial = issue(csr).body["serial"];
  EXPECT_EQ(revoke(serial, "keyCompromise", keyed("r1")).status, 200);
  EXPECT_EQ(revoke(serial, "keyCompromise", keyed("r1", 2)).status, 200) << "the same request again";
  expect_problem(revoke(serial, "keyCompromise"), 409, "a second one");
  expect_problem(revoke(serial, "superseded", keyed("r2", 2)), 409, "a second one elsewhere");
  EXPECT_EQ(send("GET", "/v1/certificates/" + serial).body["reason"], "keyCompromise");
}

TEST_F(RestTest, EveryMistakeInARequestToIssueHasItsProblem) {
  const auto post = [&](const std::string& body) { return send("POST", "/v1/certificates", body); };
  const auto weak =
      keys::make_csr_pem(keys::generate_key_pem(pki::KeyKind::kRsa, 1024).value(), {{pki::NameKind::kDns, "a.test"}});
  const std::map<std::string, std::string> bad{
      {"nothing", ""},
      {"no JSON", "{"},
      {"a list", "[]"},
      {"a number", "5"},
      {"no CSR", R"({"profile":"server"})"},
      {"no profile", json{{"csr", csr}}.dump()},
      {"a CSR of another type", R"({"csr":5,"profile":"server"})"},
      {"a profile of another type", json{{"csr", csr}, {"profile", json::array()}}.dump()},
      {"an unknown member", json{{"csr", csr}, {"profile", "server"}, {"validity", 5}}.dump()},
      {"an unknown profile", body_for(csr, "root")},
      {"no PEM", body_for("nonsense")},
      {"a cut PEM", body_for(csr.substr(0, csr.size() / 2))},
      {"two CSRs", body_for(csr + csr)},
      {"a certificate for a CSR", body_for("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
      {"a weak key", body_for(weak.value())},
      {"an impossible name", body_for(testkit::TestCa::csr_pem({"under_score.test"}))}};
  for (const auto& [what, body] : bad) expect_problem(post(body), 400, what);
  expect_problem(issue(csr, keyed(std::string(256, 'k'))), 400, "a key that is too long");
  EXPECT_TRUE(cluster.store.applied.empty()) << "nothing was written";
  EXPECT_EQ(issue(csr).status, 201);
}

TEST_F(RestTest, EveryMistakeInOtherRequestsHasItsProblem) {
  const std::string serial = issue(csr).body["serial"], never = "01" + std::string(30, '0');
  const std::string at = "/v1/certificates/";
  expect_problem(send("GET", at + "xyz"), 400, "no serial number");
  expect_problem(send("GET", at + never), 404, "an unknown one");
  expect_problem(send("GET", at + "ff" + std::string(30, '0')), 404, "of no region");
  expect_problem(send("GET", at + "00"), 404, "a short one");
  expect_problem(revoke("xyz", "superseded"), 400, "no serial number to revoke");
  expect_problem(revoke(never, "superseded"), 404, "an unknown one to revoke");
  for (const char* reason : {"", "certificateHold", "removeFromCRL", "because"})
    expect_problem(revoke(serial, reason), 400, std::string("the reason ") + reason);
  for (const char* body : {"", "{", "{}", R"({"reason":1})", "[]"})
    expect_problem(send("POST", at + serial + "/revoke", body), 400, body);
  for (const char* query : {"limit=0", "limit=1001", "limit=x", "limit=-1", "limit=5x", "limit=", "cursor=xyz",
                            "cursor=00", "limit=99999999999999999999"})
    expect_problem(send("GET", std::string("/v1/certificates?") + query), 400, query);
  const Reply method = send("DELETE", "/v1/certificates");
  expect_problem(method, 405, "a wrong method");
  EXPECT_NE(method.headers.get("Allow").find("POST"), std::string::npos);
  expect_problem(send("GET", "/v1/nothing"), 404, "an unknown path");
  EXPECT_EQ(send("GET", at + serial).body["status"], "good") << "after all that";
}

TEST_F(RestTest, RolesAllowWhatTheyAreFor) {
  const std::string serial = issue(csr).body["serial"];
  const std::string one = "/v1/certificates/" + serial;
  for (const char* token : {"", "wrong", "reads "}) {
    const Reply refused = send("GET", one, "", {token, {}, {}, 1});
    expect_problem(refused, 401, std::string("the token '") + token + "'");
    EXPECT_EQ(refused.headers.get("WWW-Authenticate"), "Bearer");
    expect_problem(send("GET", "/v1/certificates", "", {token, {}, {}, 1}), 401, "a list");
    expect_problem(issue(csr, {token, {}, {}, 1}), 401, "an issuance");
    expect_problem(revoke(serial, "superseded", {token, {}, {}, 1}), 401, "a revocation");
  }
  EXPECT_EQ(send("GET", one, "", {"reads", {}, {}, 1}).status, 200);
  expect_problem(issue(csr, {"reads", {}, {}, 1}), 403, "a reader that issues");
  expect_problem(revoke(serial, "superseded", {"reads", {}, {}, 1}), 403, "a reader that revokes");
  EXPECT_EQ(issue(csr, {"does all", {}, {}, 1}).status, 201);
  EXPECT_EQ(revoke(serial, "superseded", {"does all", {}, {}, 1}).status, 200);
}

TEST_F(RestTest, ClientCertificatesOfOperatorsAreBelievedAndEdgesSpeakForTheirs) {
  const auto as = [&](const std::string& identity, const std::string& forwarded = "") {
    Call call{"", {}, identity, 1};
    if (!forwarded.empty()) call.headers.set("Evercert-Client-Identity", forwarded);
    return send("GET", "/v1/certificates", "", call).status;
  };
  EXPECT_EQ(as("evercert://test/operator/admin"), 200);
  EXPECT_EQ(as("evercert://other/operator/admin"), 401) << "of another cluster";
  EXPECT_EQ(as("evercert://test/node/257"), 401);
  EXPECT_EQ(as("evercert://test/edge/region-1/1"), 401) << "an edge is nobody itself";
  EXPECT_EQ(as("evercert://test/edge/region-1/1", "evercert://test/operator/admin"), 200);
  EXPECT_EQ(as("", "evercert://test/operator/admin"), 401) << "anybody can write a header";
  EXPECT_EQ(as("evercert://test/node/257", "evercert://test/operator/admin"), 401);
}

TEST_F(RestTest, OneKeyIsOneCertificateForOneCaller) {
  const Reply first = issue(csr, keyed("k"));
  ASSERT_EQ(first.status, 201);
  EXPECT_EQ(issue(csr, keyed("k", 2)).body, first.body);
  expect_problem(issue(testkit::TestCa::csr_pem({"b.test"}), keyed("k")), 409, "the key for another request");
  Call other = keyed("k");
  other.token = "does all";
  const Reply theirs = issue(testkit::TestCa::csr_pem({"b.test"}), other);
  EXPECT_EQ(theirs.status, 201) << "another caller's key is another key";
  Call through_edge{"issues", {}, "evercert://test/edge/region-1/1", 1};
  const std::string id = std::string(30, 'e');
  through_edge.headers.set("Evercert-Request-Id", id);
  through_edge.headers.set("Evercert-Attempt", "1");
  const Reply repeated = issue(csr, through_edge);
  through_edge.headers.set("Evercert-Attempt", "2");
  through_edge.region = 2;
  EXPECT_EQ(issue(csr, through_edge).body, repeated.body) << "an edge repeats its own requests";
  Call forged{"issues", {}, "", 1};
  forged.headers.set("Evercert-Request-Id", id);
  forged.headers.set("Evercert-Attempt", "2");
  EXPECT_NE(issue(csr, forged).body["serial"], repeated.body["serial"]) << "only an edge may";
}

TEST_F(RestTest, AListHasEveryCertificateOnce) {
  std::set<std::string> made;
  for (std::size_t n = 0; n < 9; ++n)
    made.insert(issue(csr, {"issues", {}, {}, n % 2 + 1}).body["serial"].get<std::string>());
  for (const int limit : {1, 2, 4, 9, 1000}) {
    std::vector<std::string> listed;
    std::string cursor;
    do {
      const Reply page = send("GET", "/v1/certificates?limit=" + std::to_string(limit) + "&cursor=" + cursor, "",
                              {"reads", {}, {}, 2});
      ASSERT_EQ(page.status, 200) << page.body;
      EXPECT_LE(page.body["certificates"].size(), static_cast<std::size_t>(limit));
      for (const auto& entry : page.body["certificates"]) listed.push_back(entry["serial"]);
      cursor = page.body["next_cursor"].is_null() ? "" : page.body["next_cursor"].get<std::string>();
    } while (!cursor.empty());
    EXPECT_EQ(listed, std::vector<std::string>(made.begin(), made.end())) << "in order of serials, by " << limit;
  }
}

TEST_F(RestTest, WhatTheStoreSaysIsWhatTheClientCanDo) {
  const auto issuing = store::v1::Command::kIssue;
  cluster.store.next(MemoryStore::Fate::kRefused, issuing);
  const Reply refused = issue(csr);
  expect_problem(refused, 503, "nothing was done");
  EXPECT_EQ(refused.headers.get("Retry-After"), "1");
  cluster.store.next(MemoryStore::Fate::kAnswerLost, issuing);
  expect_problem(issue(csr, keyed("k")), 504, "the outcome is not known");
  EXPECT_EQ(issue(csr, keyed("k", 2)).status, 201);
  EXPECT_EQ(cluster.store.certificate_count(), 1u);
}

TEST_F(RestTest, ARegionThatIsCutOffMarksItsAnswersAndDeniesNothing) {
  const std::string serial = issue(csr).body["serial"];
  cluster.store.fresh = false;
  const Reply found = send("GET", "/v1/certificates/" + serial);
  EXPECT_EQ(found.status, 200);
  EXPECT_EQ(found.headers.get("Evercert-Stale"), "true");
  expect_problem(send("GET", "/v1/certificates/01" + std::string(30, '0')), 503, "another region may know it");
  EXPECT_EQ(send("GET", "/v1/certificates").headers.get("Evercert-Stale"), "true");
}

}  // namespace
}  // namespace evercert::api
