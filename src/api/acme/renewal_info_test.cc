// SPDX-License-Identifier: Apache-2.0
#include "api/acme/renewal_info.h"

#include "api/acme/acme_fixture_test.h"
#include "base/rfc3339.h"
#include "pki/certificate.h"

namespace evercert::api {
namespace {

std::string id_of(const std::string& der) {
  const auto facts = pki::read_certificate(der).value();
  return to_base64url(facts.authority_key_id) + "." + to_base64url(facts.serial);
}

class RenewalInfoTest : public AcmeFixture {
 protected:
  RenewalInfoTest() : kid(new_account(key)), der(certificate(key, kid, leaf, "a.test")), id(id_of(der)) {}
  Reply window(const std::string& of, std::size_t region = 2) {
    return send(region, "GET", "/acme/renewal-info/" + of, "");
  }
  Reply order(const ClientKey& by, const std::string& account, const json& replaces,
              const std::string& name = "a.test") {
    json payload = identifiers({name});
    payload["replaces"] = replaces;
    return post(2, by, account, base + "/new-order", payload);
  }

  const ClientKey key, leaf;
  const std::string kid, der, id;
};

TEST_F(RenewalInfoTest, EveryRegionSuggestsTheSameWindowBeforeTheEnd) {
  EXPECT_EQ(send(1, "GET", "/acme/directory", "").body["renewalInfo"], base + "/renewal-info");
  const auto facts = pki::read_certificate(der).value();
  const std::int64_t life = facts.not_after - facts.not_before;
  for (std::size_t region = 1; region <= kRegions; ++region) {
    const Reply reply = window(id, region);
    ASSERT_EQ(reply.status, 200) << reply.text;
    EXPECT_EQ(reply.body["suggestedWindow"]["start"], rfc3339((facts.not_before + life / 3 * 2) * 1000));
    EXPECT_EQ(reply.body["suggestedWindow"]["end"], rfc3339((facts.not_before + life / 4 * 3) * 1000));
    EXPECT_EQ(reply.headers.get("Retry-After"), "21600");
  }
}

TEST_F(RenewalInfoTest, OfARevokedCertificateTheWindowHasPassed) {
  ASSERT_EQ(post(1, key, kid, base + "/revoke-cert", json{{"certificate", to_base64url(der)}}).status, 200);
  const Reply reply = window(id);
  EXPECT_LE(reply.body["suggestedWindow"]["end"].get<std::string>(), rfc3339(cluster.wall.now().ms)) << reply.text;
}

TEST_F(RenewalInfoTest, WhatNamesNoCertificateIsRefused) {
  const auto facts = pki::read_certificate(der).value();
  const std::string aki = to_base64url(facts.authority_key_id), serial = to_base64url(facts.serial);
  for (const std::string& wrong :
       {std::string("x"), std::string("."), aki + ".", "." + serial, aki + "." + serial + ".", aki + "==." + serial,
        "%00." + serial, aki + ".AAAA", std::string(300, 'a') + "." + serial}) {
    const Reply reply = window(wrong);
    EXPECT_TRUE(reply.status == 400 || reply.status == 404) << wrong << ": " << reply.status;
    EXPECT_EQ(reply.type(), "malformed") << wrong;
  }
  EXPECT_EQ(window(to_base64url("another issuer") + "." + serial).status, 404);
}

TEST_F(RenewalInfoTest, AnOrderSaysWhichCertificateItReplaces) {
  const Reply made = order(key, kid, id);
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.body["replaces"], id);
  EXPECT_EQ(made.headers.get("Evercert-Renewal"), "no") << "it is new";
  EXPECT_EQ(post(3, key, kid, made.headers.get("Location"), "").body["replaces"], id);
  cluster.wall.advance(70ll * 86400);
  EXPECT_EQ(order(key, kid, id).headers.get("Evercert-Renewal"), "yes");
}

TEST_F(RenewalInfoTest, WhatAnOrderCannotReplaceIsRefused) {
  const ClientKey other;
  const std::string other_kid = new_account(other);
  EXPECT_EQ(order(other, other_kid, id).type(), "unauthorized");
  EXPECT_EQ(order(key, kid, id, "b.test").type(), "malformed");
  for (const json& wrong : {json(5), json(nullptr), json(""), json("a.b"), json(id + "x")})
    EXPECT_EQ(order(key, kid, wrong).type(), "malformed") << wrong;
}

}  // namespace
}  // namespace evercert::api
