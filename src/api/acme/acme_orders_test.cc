// SPDX-License-Identifier: Apache-2.0
// Orders from their birth to the certificate and its end (RFC 8555 sections 7.4 to 7.6).
#include "api/acme/acme_fixture_test.h"
#include "pki/certificate.h"

namespace evercert::api {
namespace {

using testkit::MemoryStore;

class AcmeOrders : public AcmeFixture {
 protected:
  AcmeOrders() : kid(new_account(key)) {}
  Reply order(const json& payload) { return post(1, key, kid, base + "/new-order", payload); }
  Reply look(const std::string& url, std::size_t region = 1) { return post(region, key, kid, url, ""); }
  static std::string id_of(const std::string& url) { return url.substr(url.rfind('/') + 1); }

  ClientKey key, leaf;
  std::string kid;
};

TEST_F(AcmeOrders, AnOrderIsThreeWritesAndEndsInACertificateThatVerifies) {
  const auto before = cluster.store.applied.size();
  const Order made = new_order(key, kid, {"B.example.test", "a.example.test"});
  EXPECT_EQ(made.document["status"], "pending");
  EXPECT_EQ(made.document["identifiers"], (identifiers({"a.example.test", "b.example.test"})["identifiers"]));
  ASSERT_EQ(made.document["authorizations"].size(), 2u);
  for (const auto& url : made.document["authorizations"]) EXPECT_EQ(prove(key, kid, url).body["status"], "valid");
  ASSERT_EQ(validator.asked.size(), 2u);
  EXPECT_EQ(validator.asked[0].key_authorization, validator.asked[0].token + "." + to_base64url(key.thumbprint()));
  EXPECT_EQ(look(made.url).body["status"], "ready");
  const Reply done = finalize(key, kid, made, leaf.csr({"a.example.test", "b.example.test"}));
  EXPECT_EQ(done.body["status"], "valid") << done.text;
  EXPECT_EQ(done.headers.get("Location"), made.url);
  EXPECT_EQ(look(made.url).body, done.body);
  EXPECT_EQ(cluster.store.applied.size() - before, 4u) << "the order, two proofs, the end";
  const Reply pem = look(done.body["certificate"]);
  EXPECT_EQ(pem.headers.get("Content-Type"), "application/pem-certificate-chain");
  const auto chain = pki::from_pem("CERTIFICATE", pem.text).value();
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_TRUE(pki::verify_chain(chain[0], {chain[1]}, cluster.root_der, testkit::kTestNow).has_value());
  EXPECT_EQ(pki::read_certificate(chain[0])->names.size(), 2u);
}

TEST_F(AcmeOrders, CaaRecordsAreLookedAtOnceMoreWhenTheProofIsOld) {
  const Order soon = ready_order(key, kid, {"soon.test"}), late = ready_order(key, kid, {"late.test", "*.late.test"});
  EXPECT_EQ(validator.asked[0].account_id, id_of(kid));
  cluster.wall.advance(6 * 3600);
  EXPECT_EQ(finalize(key, kid, soon, leaf.csr({"soon.test"})).body["status"], "valid");
  EXPECT_TRUE(validator.asked_again.empty());
  cluster.wall.advance(2 * 3600);
  validator.answer = AcmeError{403, "caa", "not any more"};
  const Reply refused = finalize(key, kid, late, leaf.csr({"late.test", "*.late.test"}));
  EXPECT_EQ(refused.type(), "caa");
  validator.answer.reset();
  EXPECT_EQ(finalize(key, kid, late, leaf.csr({"late.test", "*.late.test"})).body["status"], "valid")
      << "the order was left as it was";
  ASSERT_EQ(validator.asked_again.size(), 3u);
  EXPECT_EQ(validator.asked_again[1].identifier, "late.test");
  EXPECT_NE(validator.asked_again[1].wildcard, validator.asked_again[2].wildcard);
  EXPECT_EQ(validator.asked_again[1].type, "dns-01");
  EXPECT_EQ(validator.asked_again[1].account_id, id_of(kid));
}

TEST_F(AcmeOrders, AnOrderMovesBetweenRegions) {
  const Order made = new_order(key, kid, {"moves.test"}, 1);
  EXPECT_EQ(prove(key, kid, made.document["authorizations"][0], 2).body["status"], "valid");
  const Reply done = finalize(key, kid, made, leaf.csr({"moves.test"}), 3);
  ASSERT_EQ(done.body["status"], "valid") << done.text;
  for (std::size_t region = 1; region <= kRegions; ++region)
    EXPECT_EQ(look(done.body["certificate"], region).status, 200) << region;
  const auto der = pki::from_pem("CERTIFICATE", look(done.body["certificate"]).text).value().front();
  const auto facts = pki::read_certificate(der).value();
  EXPECT_EQ(facts.serial[0], '\x01') << "the record lives where the order was born";
  EXPECT_TRUE(pki::verify_chain(der, {cluster.region(3).certificate_der}, cluster.root_der, testkit::kTestNow));
}

TEST_F(AcmeOrders, AnOrderIsFinalizedOnce) {
  const Order made = ready_order(key, kid, {"once.test"});
  Reply second;
  cluster.store.before = [&](GroupId, const store::v1::Command& command) {
    if (!command.has_issue()) return;
    cluster.store.before = nullptr;
    second = finalize(key, kid, made, ClientKey().csr({"once.test"}), 2);
  };
  const Reply first = finalize(key, kid, made, leaf.csr({"once.test"}), 1);
  ASSERT_EQ(second.body["status"], "valid") << second.text;
  EXPECT_EQ(first.body["certificate"], second.body["certificate"]);
  EXPECT_EQ(finalize(key, kid, made, leaf.csr({"once.test"}), 3).body["certificate"], second.body["certificate"]);
  EXPECT_EQ(cluster.store.certificate_count(), 1u);
}

TEST_F(AcmeOrders, AnAnswerThatWasLostIsHadByAskingAgain) {
  const Order made = ready_order(key, kid, {"lost.test"});
  cluster.store.next(MemoryStore::Fate::kAnswerLost);
  const Reply lost = finalize(key, kid, made, leaf.csr({"lost.test"}), 1);
  EXPECT_EQ(lost.status, 504);
  EXPECT_EQ(lost.type(), "serverInternal");
  EXPECT_EQ(lost.headers.get("Retry-After"), "1");
  EXPECT_EQ(finalize(key, kid, made, leaf.csr({"lost.test"}), 2).body["status"], "valid");
  EXPECT_EQ(cluster.store.certificate_count(), 1u);
  const Order refused = ready_order(key, kid, {"refused.test"});
  cluster.store.next(MemoryStore::Fate::kRefused);
  EXPECT_EQ(finalize(key, kid, refused, leaf.csr({"refused.test"}), 1).status, 503);
  EXPECT_EQ(finalize(key, kid, refused, leaf.csr({"refused.test"}), 2).body["status"], "valid");
}

TEST_F(AcmeOrders, AWildcardIsProvedInDnsAlone) {
  const Order made = new_order(key, kid, {"*.wild.test"});
  const Reply seen = look(made.document["authorizations"][0]);
  EXPECT_EQ(seen.body["wildcard"], true);
  EXPECT_EQ(seen.body["identifier"]["value"], "wild.test");
  ASSERT_EQ(seen.body["challenges"].size(), 1u);
  EXPECT_EQ(seen.body["challenges"][0]["type"], "dns-01");
  const std::string url = made.document["authorizations"][0];
  EXPECT_EQ(post(1, key, kid, base + "/chall/" + id_of(url) + "/http-01", json::object()).status, 404);
  EXPECT_EQ(prove(key, kid, url, 2, "dns-01").body["status"], "valid");
  EXPECT_TRUE(validator.asked.at(0).wildcard);
  EXPECT_EQ(finalize(key, kid, made, leaf.csr({"*.wild.test"})).body["status"], "valid");
}

TEST_F(AcmeOrders, AnAddressIsProvedByHttpAlone) {
  const Reply made = order(identifiers({"192.0.2.7"}, "ip"));
  ASSERT_EQ(made.status, 201) << made.text;
  const Reply seen = look(made.body["authorizations"][0]);
  EXPECT_EQ(seen.body["identifier"], (json{{"type", "ip"}, {"value", "192.0.2.7"}}));
  ASSERT_EQ(seen.body["challenges"].size(), 2u);
  EXPECT_EQ(seen.body["challenges"][0]["type"], "http-01");
  EXPECT_EQ(seen.body["challenges"][1]["type"], "tls-alpn-01");
  EXPECT_EQ(prove(key, kid, made.body["authorizations"][0]).body["status"], "valid");
  const Reply done = finalize(key, kid, {made.headers.get("Location"), made.body}, leaf.csr({"192.0.2.7"}));
  ASSERT_EQ(done.body["status"], "valid") << done.text;
  const auto der = pki::from_pem("CERTIFICATE", look(done.body["certificate"]).text).value().front();
  EXPECT_EQ(pki::read_certificate(der)->names, (std::vector<pki::Name>{{pki::NameKind::kIp, "192.0.2.7"}}));
  EXPECT_EQ(order(identifiers({"2001:DB8:0:0::1"}, "ip")).body["identifiers"][0]["value"], "2001:db8::1");
}

TEST_F(AcmeOrders, IdentifiersThatAreNotIssuedAreToldOneByOne) {
  json mixed = identifiers({"good.test", "under_score.test", "nolabel"});
  mixed["identifiers"].push_back({{"type", "ip"}, {"value", "1.2.3"}});
  Reply reply = order(mixed);
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.type(), "rejectedIdentifier");
  ASSERT_EQ(reply.body["subproblems"].size(), 3u);
  EXPECT_EQ(reply.body["subproblems"][0]["identifier"]["value"], "under_score.test");
  EXPECT_TRUE(reply.body["subproblems"][0]["type"].get<std::string>().ends_with(":rejectedIdentifier"));
  EXPECT_FALSE(reply.body["subproblems"][2]["detail"].get<std::string>().empty());
  mixed["identifiers"].push_back({{"type", "email"}, {"value", "a@b.test"}});
  EXPECT_EQ(order(mixed).type(), "malformed") << "of several kinds";
  reply = order(identifiers({"a@b.test"}, "email"));
  EXPECT_EQ(reply.type(), "unsupportedIdentifier");
  EXPECT_FALSE(reply.body.contains("subproblems")) << "there is one identifier, and this is about it";
  EXPECT_EQ(order(identifiers({"192.0.2.1"})).type(), "rejectedIdentifier") << "an address is no DNS name";
  EXPECT_EQ(order(identifiers({"*.a.*.test"})).type(), "rejectedIdentifier");
  EXPECT_EQ(order(identifiers(std::vector<std::string>(101, "a.test"))).type(), "rejectedIdentifier");
}

TEST_F(AcmeOrders, OrdersThatCannotBeCarriedOutAsAskedAreRefused) {
  for (const json& bad : {json::object(), json{{"identifiers", json::array()}}, json{{"identifiers", "a.test"}},
                          json{{"identifiers", {"a.test"}}}, json{{"identifiers", {{{"type", "dns"}}}}},
                          json{{"identifiers", {{{"type", 1}, {"value", "a.test"}}}}}}) {
    EXPECT_EQ(order(bad).type(), "malformed") << bad;
  }
  json dated = identifiers({"a.test"});
  dated["notAfter"] = "2030-01-01T00:00:00Z";
  EXPECT_EQ(order(dated).type(), "malformed");
  EXPECT_EQ(post(1, key, kid, base + "/new-order", "").type(), "malformed");
  EXPECT_EQ(cluster.store.applied.size(), 1u) << "the account alone";
}

TEST_F(AcmeOrders, WhatIsNotProvedIsNotFinalized) {
  const Order made = new_order(key, kid, {"a.test", "b.test"});
  prove(key, kid, made.document["authorizations"][0]);
  const Reply reply = finalize(key, kid, made, leaf.csr({"a.test", "b.test"}));
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.type(), "orderNotReady");
  EXPECT_EQ(cluster.store.certificate_count(), 0u);
}

TEST_F(AcmeOrders, OnlyACsrForTheOrderIsTaken) {
  const Order made = ready_order(key, kid, {"a.test"});
  const auto type = [&](const std::string& csr) { return finalize(key, kid, made, csr).type(); };
  EXPECT_EQ(type(""), "badCSR");
  EXPECT_EQ(type("!"), "badCSR");
  EXPECT_EQ(type(to_base64url("nonsense")), "badCSR");
  EXPECT_EQ(type(leaf.csr({"b.test"})), "badCSR") << "another name";
  EXPECT_EQ(type(leaf.csr({"a.test", "b.test"})), "badCSR") << "one name more";
  EXPECT_EQ(type(key.csr({"a.test"})), "badCSR") << "the account's key";
  const auto weak =
      keys::make_csr_pem(keys::generate_key_pem(pki::KeyKind::kRsa, 1024).value(), {{pki::NameKind::kDns, "a.test"}});
  EXPECT_EQ(type(to_base64url(pki::from_pem("CERTIFICATE REQUEST", weak.value())->front())), "badPublicKey");
  EXPECT_EQ(post(1, key, kid, made.url + "/finalize", json{{"csr", 5}}).type(), "badCSR");
  EXPECT_EQ(finalize(key, kid, made, leaf.csr({"a.test"})).body["status"], "valid") << "after all that";
}

TEST_F(AcmeOrders, AProofThatFailsEndsTheOrderAndSaysWhy) {
  const Order made = new_order(key, kid, {"a.test"});
  validator.answer = AcmeError{403, "incorrectResponse", "another key authorization"};
  const Reply failed = prove(key, kid, made.document["authorizations"][0]);
  EXPECT_EQ(failed.status, 200);
  EXPECT_EQ(failed.body["status"], "invalid");
  EXPECT_EQ(failed.body["error"]["detail"], "another key authorization");
  const Reply seen = look(made.url, 2);
  EXPECT_EQ(seen.body["status"], "invalid");
  EXPECT_EQ(seen.body["error"]["type"], "urn:ietf:params:acme:error:incorrectResponse");
  EXPECT_EQ(validator.asked.size(), 1u);
  validator.answer = AcmeError{400, "connection", "refused"};
  prove(key, kid, new_order(key, kid, {"b.test"}).document["authorizations"][0]);
  EXPECT_EQ(validator.asked.size(), 4u) << "what may pass by itself is tried three times";
}

TEST_F(AcmeOrders, AChallengeThatIsAnsweredTwiceAtOnceIsDecidedOnce) {
  const Order made = new_order(key, kid, {"a.test"});
  const std::string url = made.document["authorizations"][0];
  validator.during = [&] {
    validator.during = nullptr;
    EXPECT_EQ(prove(key, kid, url, 2).body["status"], "valid");
    validator.answer = AcmeError{403, "incorrectResponse", "too late"};
  };
  EXPECT_EQ(prove(key, kid, url, 1).body["status"], "valid") << "as the first one decided";
  EXPECT_EQ(look(made.url).body["status"], "ready");
}

TEST_F(AcmeOrders, WhatIsPendingSaysWhenToLookAgain) {
  const Order made = new_order(key, kid, {"a.test"});
  const std::string url = made.document["authorizations"][0];
  EXPECT_EQ(look(url).headers.get("Retry-After"), "1");
  EXPECT_EQ(look(base + "/chall/" + id_of(url) + "/http-01").body["status"], "pending") << "reading starts nothing";
  prove(key, kid, url);
  EXPECT_EQ(look(url).headers.get("Retry-After"), "");
}

TEST_F(AcmeOrders, ADeactivatedAuthorizationEndsTheOrder) {
  const Order pending = new_order(key, kid, {"a.test"});
  const Order ready = ready_order(key, kid, {"b.test"});
  for (const Order* each : {&pending, &ready}) {
    const std::string url = each->document["authorizations"][0];
    EXPECT_EQ(post(2, key, kid, url, json{{"status", "valid"}}).type(), "malformed");
    EXPECT_EQ(post(2, key, kid, url, json{{"status", "deactivated"}}).body["status"], "deactivated");
    EXPECT_EQ(post(3, key, kid, url, json{{"status", "deactivated"}}).status, 200) << "twice is once";
    EXPECT_EQ(look(each->url).body["status"], "invalid");
    const auto tried = validator.asked.size();
    EXPECT_EQ(prove(key, kid, url).status, 200);
    EXPECT_EQ(validator.asked.size(), tried) << "its challenges are not tried";
  }
  EXPECT_EQ(finalize(key, kid, ready, leaf.csr({"b.test"})).type(), "orderNotReady");
  validator.answer = AcmeError{403, "incorrectResponse", "no"};
  const Order failed = new_order(key, kid, {"c.test"});
  prove(key, kid, failed.document["authorizations"][0]);
  EXPECT_EQ(post(1, key, kid, failed.document["authorizations"][0], json{{"status", "deactivated"}}).type(),
            "malformed");
}

TEST_F(AcmeOrders, OrdersAndAuthorizationsExpire) {
  const Order made = ready_order(key, kid, {"a.test"});
  const Order done = ready_order(key, kid, {"b.test"});
  ASSERT_EQ(finalize(key, kid, done, leaf.csr({"b.test"})).body["status"], "valid");
  cluster.wall.advance(7 * 86400);
  EXPECT_EQ(look(made.url).body["status"], "invalid");
  EXPECT_EQ(look(made.document["authorizations"][0]).body["status"], "expired");
  EXPECT_EQ(finalize(key, kid, made, leaf.csr({"a.test"})).type(), "orderNotReady");
  EXPECT_EQ(look(done.url).body["status"], "valid") << "what came to its end stays";
}

TEST_F(AcmeOrders, WhatBelongsToOthersIsClosed) {
  const ClientKey stranger;
  const std::string other = new_account(stranger, 2);
  const Order made = ready_order(key, kid, {"a.test"});
  const Reply done = finalize(key, kid, made, leaf.csr({"a.test"}));
  const auto tried = [&](const std::string& url, const std::string& payload) {
    return post(2, stranger, other, url, payload).type();
  };
  EXPECT_EQ(tried(made.url, ""), "unauthorized");
  EXPECT_EQ(tried(made.url + "/finalize", json{{"csr", leaf.csr({"a.test"})}}.dump()), "unauthorized");
  EXPECT_EQ(tried(made.document["authorizations"][0], ""), "unauthorized");
  EXPECT_EQ(tried(made.document["authorizations"][0], R"({"status":"deactivated"})"), "unauthorized");
  EXPECT_EQ(tried(done.body["certificate"], ""), "unauthorized");
}

TEST_F(AcmeOrders, WhatDoesNotExistIsNotFound) {
  for (const std::string& path :
       {"/order/a" + std::string(24, '0'), "/order/zz" + std::string(24, '0'), "/authz/a" + std::string(24, '0'),
        std::string("/chall/a0/http-01"), "/cert/01" + std::string(30, '0'), std::string("/cert/zz")}) {
    const Reply reply = look(base + path);
    EXPECT_EQ(reply.status, 404) << path;
    EXPECT_EQ(reply.type(), "malformed");
  }
  const Order made = new_order(key, kid, {"a.test"});
  EXPECT_EQ(post(1, key, kid, made.url, json::object()).type(), "malformed")
      << "an order is read with an empty payload";
}

class AcmeRevocation : public AcmeOrders {
 protected:
  Reply revoke(const ClientKey& by, const std::string& account, const json& payload, std::size_t region = 2) {
    return post(region, by, account, base + "/revoke-cert", payload);
  }
};

TEST_F(AcmeRevocation, TheAccountOfACertificateRevokesIt) {
  const std::string der = certificate(key, kid, leaf, "a.test");
  const json payload{{"certificate", to_base64url(der)}, {"reason", 4}};
  EXPECT_EQ(revoke(key, kid, payload).status, 200);
  const auto record = cluster.store.certificate(pki::read_certificate(der)->serial).value().value();
  EXPECT_TRUE(record.revoked());
  EXPECT_EQ(record.reason(), 4u);
  const Reply again = revoke(key, kid, payload, 3);
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(again.type(), "alreadyRevoked");
}

TEST_F(AcmeRevocation, TheKeyOfACertificateRevokesIt) {
  const std::string der = certificate(key, kid, leaf, "a.test");
  const ClientKey stranger;
  const json payload{{"certificate", to_base64url(der)}, {"reason", 1}};
  EXPECT_EQ(revoke(stranger, "", payload).type(), "unauthorized") << "another key";
  EXPECT_EQ(revoke(key, "", payload).type(), "unauthorized") << "the account's key, without its account";
  EXPECT_EQ(revoke(stranger, new_account(stranger), payload).type(), "unauthorized") << "another account";
  EXPECT_EQ(revoke(leaf, "", payload).status, 200);
}

TEST_F(AcmeRevocation, AnAccountThatHasProvedAllNamesRevokes) {
  const ClientKey other;
  const std::string other_kid = new_account(other, 3);
  const Order order = ready_order(key, kid, {"a.test", "*.b.test"});
  const Reply done = finalize(key, kid, order, leaf.csr({"a.test", "*.b.test"}));
  const auto der = pki::from_pem("CERTIFICATE", look(done.body["certificate"]).text).value().front();
  const json payload{{"certificate", to_base64url(der)}};
  ready_order(other, other_kid, {"a.test", "b.test"});
  EXPECT_EQ(revoke(other, other_kid, payload).type(), "unauthorized") << "one of two names";
  const Order wild = new_order(other, other_kid, {"*.b.test"}, 2);
  EXPECT_EQ(revoke(other, other_kid, payload).type(), "unauthorized") << "asked for, not proved";
  EXPECT_EQ(prove(other, other_kid, wild.document["authorizations"][0], 1, "dns-01").body["status"], "valid");
  cluster.wall.advance(8 * 86400);
  EXPECT_EQ(revoke(other, other_kid, payload).type(), "unauthorized") << "too long ago";
  const Order again = new_order(other, other_kid, {"*.b.test", "a.test"}, 2);
  for (const auto& url : again.document["authorizations"]) {
    prove(other, other_kid, url, 1, "dns-01");
  }
  EXPECT_EQ(revoke(other, other_kid, payload).status, 200);
}

TEST_F(AcmeRevocation, OnlyCertificatesOfThisCaAndKnownReasonsAreTaken) {
  const std::string der = certificate(key, kid, leaf, "a.test");
  for (const json& reason : {json(7), json(6), json(-1), json(99), json("1"), json(1.5), json(nullptr)})
    EXPECT_EQ(revoke(key, kid, {{"certificate", to_base64url(der)}, {"reason", reason}}).type(), "badRevocationReason")
        << reason;
  EXPECT_EQ(revoke(key, kid, {{"certificate", "AAAA"}}).type(), "malformed");
  EXPECT_EQ(revoke(key, kid, json::object()).type(), "malformed");
  const Reply foreign = revoke(key, kid, {{"certificate", to_base64url(cluster.root_der)}});
  EXPECT_EQ(foreign.status, 404) << foreign.text;
  EXPECT_EQ(revoke(key, kid, {{"certificate", to_base64url(der)}}).status, 200) << "without a reason: unspecified";
}

}  // namespace
}  // namespace evercert::api
