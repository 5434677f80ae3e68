// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/acme_client.h"

#include <gtest/gtest.h>

#include "traffic/certificate/acme_world_test.h"

namespace evercert::traffic {
namespace {

class AcmeClientTest : public AcmeWorld {
 protected:
  Result<std::string> order(CertificateWish wish) {
    return testkit::finish(cluster.executor,
                           order_certificate(cluster.executor, cluster.clock, ask(), account, std::move(wish), 60s));
  }
  CertificateWish wish(const std::vector<pki::Name>& names) { return {kDirectory, {}, names, csr_of(names), {}}; }
  bool has_asked(const std::string& prefix) const {
    return std::any_of(asked.begin(), asked.end(), [&](const auto& one) { return one.starts_with(prefix); });
  }

  const AcmeAccount account = AcmeAccount::from_pem(account_pem()).value();
};

TEST_F(AcmeClientTest, ItGetsACertificateForNamesAndAddresses) {
  auto asked_for = wish({{pki::NameKind::kDns, "edge.test"}, {pki::NameKind::kIp, "127.0.0.1"}});
  asked_for.contacts = {"mailto:ops@example.test"};
  const auto chain = order(asked_for);
  ASSERT_TRUE(chain) << chain.error().message;
  const auto ders = pki::from_pem("CERTIFICATE", *chain).value();
  ASSERT_GE(ders.size(), 2U);
  EXPECT_TRUE(pki::verify_chain(ders.front(), {ders[1]}, cluster.root_der, testkit::kTestNow));
  auto names = pki::read_certificate(ders.front()).value().names;
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<pki::Name>{{pki::NameKind::kDns, "edge.test"}, {pki::NameKind::kIp, "127.0.0.1"}}));
}

// Whoever has the account's key answers, without having heard of the order.
TEST_F(AcmeClientTest, WhatIsServedUnderATokenFollowsFromTheAccountAlone) {
  ASSERT_TRUE(order(wish({{pki::NameKind::kDns, "edge.test"}})));
  ASSERT_EQ(validator.asked.size(), 1U);
  const auto& proof = validator.asked.front();
  EXPECT_EQ(proof.type, "http-01");
  EXPECT_EQ(account.answer_to_challenge(proof.token), proof.key_authorization);
  const auto other = AcmeAccount::from_pem(account_pem()).value();
  EXPECT_NE(other.answer_to_challenge(proof.token), proof.key_authorization);
}

// RFC 8737: what the CA is told to look for is what was shown before it was told to look.
TEST_F(AcmeClientTest, WhereHttpIsNotOfferedTheProofIsShownInACertificate) {
  meddle = [](api::Reply& reply, const std::string& target) {
    const auto at = reply.text.find("\"http-01\"");
    if (target.starts_with("/acme/authz/") && at != std::string::npos) reply.text.replace(at, 9, "\"none-01\"");
  };
  auto asked_for = wish({{pki::NameKind::kDns, "edge.test"}});
  const auto neither = order(asked_for);
  ASSERT_FALSE(neither);
  EXPECT_NE(neither.error().message.find("no challenge is offered that can be met"), std::string::npos)
      << neither.error().message;
  std::vector<std::pair<std::string, std::string>> shown;
  asked_for.show = [&](Executor&, std::string name, std::string digest) -> Task<Status> {
    EXPECT_TRUE(validator.asked.empty()) << "the CA looks when it is told to, not before";
    shown.emplace_back(std::move(name), std::move(digest));
    co_return Status{};
  };
  const auto chain = order(asked_for);
  ASSERT_TRUE(chain) << chain.error().message;
  ASSERT_EQ(validator.asked.size(), 1U);
  EXPECT_EQ(validator.asked.front().type, "tls-alpn-01");
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown.front().first, "edge.test");
  EXPECT_EQ(shown.front().second, sha256(validator.asked.front().key_authorization));
}

TEST_F(AcmeClientTest, WhoWantsTheProofInACertificateHasItThere) {
  auto asked_for = wish({{pki::NameKind::kDns, "edge.test"}});
  asked_for.by_http = false;
  asked_for.show = [](Executor&, std::string, std::string) -> Task<Status> { co_return Status{}; };
  ASSERT_TRUE(order(asked_for));
  EXPECT_EQ(validator.asked.front().type, "tls-alpn-01");
  asked_for.show = [](Executor&, std::string, std::string) -> Task<Status> {
    co_return fail(Code::kIo, "nobody can show it");
  };
  asked_for.names = {{pki::NameKind::kDns, "two.test"}};
  asked_for.csr_der = csr_of(asked_for.names);
  const auto none = order(asked_for);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("nobody can show it"), std::string::npos) << none.error().message;
  EXPECT_EQ(validator.asked.size(), 1U) << "the CA was not asked to look";
}

TEST_F(AcmeClientTest, NothingButATokenIsAnswered) {
  for (const char* wrong : {"", "a/b", "a.b", "a b", "..", "a\n", "\xc3\xa4"})
    EXPECT_FALSE(account.answer_to_challenge(wrong)) << wrong;
  EXPECT_FALSE(account.answer_to_challenge(std::string(257, 'a')));
  EXPECT_TRUE(account.answer_to_challenge("Az09-_"));
}

TEST_F(AcmeClientTest, TheSameKeyIsTheSameAccountTheNextTime) {
  ASSERT_TRUE(order(wish({{pki::NameKind::kDns, "one.test"}})));
  region = 3;
  ASSERT_TRUE(order(wish({{pki::NameKind::kDns, "two.test"}})));
  ASSERT_EQ(validator.asked.size(), 2U);
  EXPECT_EQ(validator.asked[0].account_id, validator.asked[1].account_id);
}

TEST_F(AcmeClientTest, AnOrderGoesOnThroughAnotherRegionWhenItsOwnIsGone) {
  meddle = [this](api::Reply&, const std::string& target) {
    if (target == "/acme/new-order") region = 2;
    if (target.starts_with("/acme/chall/")) region = 3;
  };
  const auto chain = order(wish({{pki::NameKind::kDns, "edge.test"}}));
  EXPECT_TRUE(chain) << chain.error().message;
}

TEST_F(AcmeClientTest, WhyAProofWasNotAcceptedIsSaid) {
  validator.answer = api::AcmeError{400, "connection", "http://edge.test: nobody listens"};
  const auto chain = order(wish({{pki::NameKind::kDns, "edge.test"}}));
  ASSERT_FALSE(chain);
  EXPECT_EQ(chain.error().code, Code::kUnavailable);
  EXPECT_NE(chain.error().message.find("nobody listens"), std::string::npos) << chain.error().message;
}

TEST_F(AcmeClientTest, NobodyThereIsAnErrorThatSaysSo) {
  region = 0;
  const auto chain = order(wish({{pki::NameKind::kDns, "edge.test"}}));
  ASSERT_FALSE(chain);
  EXPECT_NE(chain.error().message.find("no node of any region"), std::string::npos) << chain.error().message;
}

TEST_F(AcmeClientTest, ARefusalByTheDirectoryIsSaidAsItWasGiven) {
  meddle = [](api::Reply& reply, const std::string&) {
    reply.status = 503;
    reply.text = "this region has more to do than it can";
  };
  const auto chain = order(wish({{pki::NameKind::kDns, "edge.test"}}));
  ASSERT_FALSE(chain);
  EXPECT_NE(chain.error().message.find("503: this region has more"), std::string::npos) << chain.error().message;
}

TEST_F(AcmeClientTest, ANonceThatIsUsedUpIsReplaced) {
  std::string used;
  meddle = [&](api::Reply& reply, const std::string& target) {
    if (target == "/acme/new-nonce" && !used.empty()) reply.headers.set("Replay-Nonce", std::exchange(used, ""));
    else if (target == "/acme/new-nonce") used = reply.headers.get("Replay-Nonce");
  };
  EXPECT_TRUE(order(wish({{pki::NameKind::kDns, "edge.test"}})));
  EXPECT_TRUE(used.empty());
}

TEST_F(AcmeClientTest, AServerThatComesToNoEndIsGivenUp) {
  meddle = [this](api::Reply& reply, const std::string& target) {
    cluster.clock.advance(5s);
    const auto at = reply.text.find("\"status\":\"ready\"");
    if (target.starts_with("/acme/order/") && at != std::string::npos)
      reply.text.replace(at, 16, "\"status\":\"pending\"");
  };
  const auto chain = order(wish({{pki::NameKind::kDns, "edge.test"}}));
  ASSERT_FALSE(chain);
  EXPECT_EQ(chain.error().code, Code::kExpired);
  EXPECT_GT(asked.size(), 7U) << "it has asked again and again";
}

TEST_F(AcmeClientTest, AnswersThatAreNoAcmeAreErrors) {
  for (const char* wrong : {"", "[]", "{\"status\":5}", "\xff\xfe", "{\"newNonce\":\"not a URL at all\"}"}) {
    meddle = [&](api::Reply& reply, const std::string&) { reply.text = wrong; };
    EXPECT_FALSE(order(wish({{pki::NameKind::kDns, "edge.test"}}))) << wrong;
  }
  meddle = [](api::Reply& reply, const std::string&) { reply.headers.set("Replay-Nonce", "\r\n"); };
  EXPECT_FALSE(order(wish({{pki::NameKind::kDns, "edge.test"}})));
}

TEST_F(AcmeClientTest, AnAccountNeedsAKeyOfP256) {
  EXPECT_FALSE(AcmeAccount::from_pem("nothing"));
  for (const auto kind : {pki::KeyKind::kP384, pki::KeyKind::kRsa, pki::KeyKind::kEd25519})
    EXPECT_FALSE(AcmeAccount::from_pem(keys::generate_key_pem(kind).value()));
}

}  // namespace
}  // namespace evercert::traffic
