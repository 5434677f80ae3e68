// SPDX-License-Identifier: Apache-2.0
// What every request must be (RFC 8555 section 6).
#include "api/acme/acme_fixture_test.h"

namespace evercert::api {
namespace {

class AcmeRequests : public AcmeFixture {
 protected:
  Reply signed_with(json head, const ClientKey& by, const std::string& target, std::size_t region = 1) {
    return send(region, "POST", target, by.sign(head, R"({"onlyReturnExisting":true})").dump());
  }
  ClientKey key;
  const std::string url = base + "/new-account";
};

TEST_F(AcmeRequests, TheDirectoryNamesWhatIsOffered) {
  const Reply reply = send(2, "GET", "/acme/directory", "");
  EXPECT_EQ(reply.status, 200);
  for (const char* name : {"newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"})
    EXPECT_TRUE(reply.body[name].get<std::string>().starts_with(base + "/")) << name;
}

TEST_F(AcmeRequests, EveryAnswerBringsANonceAndTheDirectory) {
  for (const Reply& reply : {send(1, "GET", "/acme/new-nonce", ""), send(1, "POST", "/acme/new-order", "{"),
                             post(1, key, "", url, json::object())}) {
    EXPECT_FALSE(reply.headers.get("Replay-Nonce").empty());
    EXPECT_EQ(reply.headers.get("Link"), "<" + base + "/directory>;rel=\"index\"");
  }
  EXPECT_EQ(send(1, "HEAD", "/acme/new-nonce", "").status, 200);
  EXPECT_EQ(send(1, "GET", "/acme/new-nonce", "").status, 204);
}

TEST_F(AcmeRequests, ANonceIsTakenOnceInAnyRegionThatSawIt) {
  new_account(key);
  const std::string once = nonce(3);
  json head = header(key, "", url);
  head["nonce"] = once;
  EXPECT_EQ(signed_with(head, key, "/acme/new-account", 2).status, 200) << "a nonce of another region";
  const Reply again = signed_with(head, key, "/acme/new-account", 2);
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(again.type(), "badNonce");
  head["nonce"] = again.headers.get("Replay-Nonce");
  EXPECT_EQ(signed_with(head, key, "/acme/new-account", 2).status, 200) << "the fresh one that came with the refusal";
}

TEST_F(AcmeRequests, NoncesThatAreMissingForgedOrOldAreRefused) {
  new_account(key);
  json head = header(key, "", url);
  const std::string good = head["nonce"];
  std::string forged = good;
  forged[5] = forged[5] == 'A' ? 'B' : 'A';
  for (const std::string& bad : {std::string(), forged, good + "A", std::string("no base64url!")}) {
    head["nonce"] = bad;
    EXPECT_EQ(signed_with(head, key, "/acme/new-account").type(), "badNonce") << bad;
  }
  head.erase("nonce");
  EXPECT_EQ(signed_with(head, key, "/acme/new-account").type(), "badNonce");
  head["nonce"] = good;
  cluster.wall.advance(3601);
  EXPECT_EQ(signed_with(head, key, "/acme/new-account").type(), "badNonce") << "older than an hour";
}

TEST_F(AcmeRequests, AStrangerCannotUseUpANonce) {
  new_account(key);
  const json head = header(key, "", url);
  json wrong = key.sign(head, "{}");
  wrong["signature"] = to_base64url(std::string(64, 'x'));
  EXPECT_EQ(send(1, "POST", "/acme/new-account", wrong.dump()).status, 403);
  EXPECT_EQ(signed_with(head, key, "/acme/new-account").status, 200);
}

TEST_F(AcmeRequests, AJwsForAnotherUrlIsRefused) {
  const std::string kid = new_account(key);
  for (const std::string& other :
       {base + "/new-order", std::string("https://other.test/acme/new-account"), url + "?x", std::string()}) {
    const Reply reply = signed_with(header(key, "", other), key, "/acme/new-account");
    EXPECT_EQ(reply.status, 403) << other;
    EXPECT_EQ(reply.type(), "unauthorized");
  }
}

TEST_F(AcmeRequests, MalformedEnvelopesAreToldApart) {
  const json good = key.sign(header(key, "", url), "{}");
  const auto broken = [&](auto change) {
    json jws = good;
    change(jws);
    return send(1, "POST", "/acme/new-account", jws.dump());
  };
  const std::vector<Reply> all{broken([](json& j) { j.erase("protected"); }),
                               broken([](json& j) { j["header"] = json::object(); }),
                               broken([](json& j) { j["signatures"] = json::array(); }),
                               broken([](json& j) { j["payload"] = 5; }),
                               broken([](json& j) { j["payload"] = "a b"; }),
                               broken([](json& j) { j["protected"] = to_base64url("[]"); }),
                               send(1, "POST", "/acme/new-account", ""),
                               send(1, "POST", "/acme/new-account", "[1,2]")};
  for (const Reply& reply : all) {
    EXPECT_EQ(reply.status, 400) << reply.text;
    EXPECT_EQ(reply.type(), "malformed") << reply.text;
    EXPECT_FALSE(reply.body["detail"].get<std::string>().empty());
  }
  EXPECT_EQ(send(1, "POST", "/acme/new-account", good.dump(), "application/json").status, 415);
  EXPECT_EQ(send(1, "POST", "/acme/new-account", good.dump(), "application/jose+jsonx").status, 415);
}

TEST_F(AcmeRequests, AnUnknownAlgorithmIsAnsweredWithThoseThatAreKnown) {
  for (const char* algorithm : {"none", "HS256", "ES512", ""}) {
    json head = header(key, "", url);
    head["alg"] = algorithm;
    const Reply reply = signed_with(head, key, "/acme/new-account");
    EXPECT_EQ(reply.type(), "badSignatureAlgorithm");
    EXPECT_EQ(reply.body["algorithms"], (json{"ES256", "ES384", "EdDSA", "RS256"}));
  }
  json head = header(key, "", url);
  head["alg"] = "RS256";
  EXPECT_EQ(signed_with(head, key, "/acme/new-account").status, 403) << "an algorithm that does not fit the key";
}

TEST_F(AcmeRequests, KeysThatAreTooWeakOrNoKeysAreBadPublicKeys) {
  json head = header(key, "", url);
  head["jwk"] = {{"kty", "oct"}, {"k", "AAAA"}};
  EXPECT_EQ(signed_with(head, key, "/acme/new-account").type(), "badPublicKey");
  head["jwk"] = key.jwk();
  head["jwk"]["x"] = to_base64url(std::string(32, '\x01'));
  EXPECT_EQ(signed_with(head, key, "/acme/new-account").type(), "badPublicKey") << "no point of the curve";
  head["jwk"] = {{"kty", "RSA"}, {"e", "AQAB"}, {"n", to_base64url(std::string(64, '\xcc'))}};
  EXPECT_EQ(signed_with(head, key, "/acme/new-account").type(), "badPublicKey") << "RSA of 512 bits";
}

TEST_F(AcmeRequests, TheSignerIsNamedInTheWayTheResourceAsksFor) {
  const std::string kid = new_account(key);
  const Reply by_key = post(1, key, "", base + "/new-order", identifiers({"a.test"}));
  EXPECT_EQ(by_key.type(), "malformed") << "only new-account and revoke-cert take a bare key";
  json both = header(key, kid, base + "/new-order");
  both["jwk"] = key.jwk();
  EXPECT_EQ(signed_with(both, key, "/acme/new-order").type(), "malformed");
  EXPECT_EQ(post(1, key, kid, url, json::object()).type(), "malformed") << "a new account has no account URL";
  for (const std::string& unknown :
       {base + "/acct/a" + std::string(40, '0'), base + "/acct/z", base + "/acct/", base, std::string("x")}) {
    const Reply reply = post(1, key, unknown, base + "/new-order", identifiers({"a.test"}));
    EXPECT_EQ(reply.status, 400) << unknown;
    EXPECT_EQ(reply.type(), "accountDoesNotExist");
  }
  const ClientKey stranger;
  EXPECT_EQ(post(1, stranger, kid, base + "/new-order", identifiers({"a.test"})).type(), "unauthorized")
      << "another key under that account's URL";
}

TEST_F(AcmeRequests, ResourcesAreReadByPostAlone) {
  for (const char* path : {"/acme/new-order", "/acme/acct/a1", "/acme/order/a1", "/acme/cert/00", "/acme/authz/a1"}) {
    const Reply reply = send(1, "GET", path, "");
    EXPECT_EQ(reply.status, 405) << path;
    EXPECT_EQ(reply.type(), "malformed");
    EXPECT_EQ(reply.headers.get("Allow"), "POST");
  }
}

TEST_F(AcmeRequests, ARegionThatCannotBeSureSaysSoAndWhenToComeBack) {
  const std::string kid = new_account(key);
  const std::string order = new_order(key, kid, {"a.test"}).url;
  cluster.store.fresh = false;
  for (const Reply& reply : {post(1, key, kid, order, ""), post(1, key, "", url, json::object())}) {
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.type(), "serverInternal");
    EXPECT_EQ(reply.headers.get("Retry-After"), "1");
  }
}

}  // namespace
}  // namespace evercert::api
