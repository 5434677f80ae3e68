// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/claims.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/encoding.h"

namespace evercert::traffic {
namespace {

using nlohmann::json;

net::HttpRequest post(std::string path, std::string body) {
  net::HttpRequest request;
  request.method = "POST";
  request.path = request.target = std::move(path);
  request.body = std::move(body);
  return request;
}

std::string jws(const json& header, const json& payload) {
  return json{
      {"protected", to_base64url(header.dump())}, {"payload", to_base64url(payload.dump())}, {"signature", "AA"}}
      .dump();
}

TEST(Claims, TheAccountIsTheEndOfTheKeysUrlWhateverTheHost) {
  for (const char* host : {"https://ca.test", "https://127.1.0.1:8443", "https://a/acme/acct/b"}) {
    const auto claims = read_claims(post("/acme/order/1", jws({{"kid", std::string(host) + "/acme/acct/r1a2b"}}, {})));
    EXPECT_EQ(claims.account, "r1a2b");
    EXPECT_FALSE(claims.renewal);
  }
}

TEST(Claims, ANewOrderThatReplacesACertificateIsARenewal) {
  const json header{{"kid", "https://ca.test/acme/acct/a"}},
      payload{{"replaces", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"}};
  EXPECT_TRUE(read_claims(post("/acme/new-order", jws(header, payload))).renewal);
  EXPECT_FALSE(read_claims(post("/acme/new-order", jws(header, {{"identifiers", json::array()}}))).renewal);
  EXPECT_FALSE(read_claims(post("/acme/new-account", jws(header, payload))).renewal);
}

TEST(Claims, SoIsAnIssuanceThatSaysSo) {
  EXPECT_TRUE(read_claims(post("/v1/certificates", R"({"csr":"x","replaces":"01ab"})")).renewal);
  EXPECT_FALSE(read_claims(post("/v1/certificates", R"({"csr":"x"})")).renewal);
  EXPECT_FALSE(read_claims(post("/v1/certificates", R"({"csr":"\"replaces\""})")).renewal);
  EXPECT_FALSE(read_claims(post("/v1/certificates/01/revoke", R"({"replaces":"01ab"})")).renewal);
  auto read = post("/v1/certificates", R"({"replaces":"01ab"})");
  read.method = "GET";
  EXPECT_FALSE(read_claims(read).renewal);
}

TEST(Claims, WhatIsDamagedClaimsNothing) {
  const std::string good = jws({{"kid", "https://ca.test/acme/acct/a"}}, {{"replaces", "a.b"}});
  for (const std::string& body :
       {std::string(), std::string("["), std::string("[]"), std::string("5"), std::string(100'000, '['),
        good.substr(0, good.size() - 1), std::string(R"({"protected":5,"payload":{}})"),
        std::string(R"({"protected":"***","payload":"***"})"), jws("text", "text"),
        jws({{"kid", 5}}, {{"replaces", 5}}), jws({{"kid", "https://ca.test/acme/acct/"}}, {{"replaces", ""}}),
        jws({{"kid", "https://ca.test/acme/acct/a/b"}}, json::array()),
        jws({{"kid", "/acme/acct/" + std::string(65, 'a')}}, nullptr), good + std::string(70'000, ' ')}) {
    const auto claims = read_claims(post("/acme/new-order", body));
    EXPECT_EQ(claims.account, "") << body.substr(0, 80);
    EXPECT_FALSE(claims.renewal) << body.substr(0, 80);
  }
}

}  // namespace
}  // namespace evercert::traffic
