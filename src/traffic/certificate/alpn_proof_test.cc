// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/alpn_proof.h"

#include <gtest/gtest.h>

#include "api/acme/tls_alpn01.h"
#include "base/encoding.h"
#include "pki/certificate.h"
#include "pki/pem.h"

namespace evercert::traffic {
namespace {

constexpr WallTime kNow{1'800'000'000'000};

api::ValidationRequest look_for(const std::string& name, const std::string& key_authorization) {
  return {"dns", name, false, "tls-alpn-01", "token", key_authorization};
}

// By what the cluster itself looks for in such certificates of others.
TEST(AlpnProof, ItProvesItsNameAndKeyAuthorizationAndNoOther) {
  const auto pem = make_alpn_proof("edge.test", sha256("token.print"), kNow);
  ASSERT_TRUE(pem) << pem.error().message;
  const std::string der = pki::from_pem("CERTIFICATE", *pem).value().front();
  EXPECT_FALSE(api::check_proof(der, look_for("edge.test", "token.print")));
  EXPECT_TRUE(api::check_proof(der, look_for("other.test", "token.print")));
  EXPECT_TRUE(api::check_proof(der, look_for("edge.test", "token.other")));
  const auto facts = pki::read_certificate(der).value();
  EXPECT_LT(facts.not_before, kNow.seconds());
  EXPECT_GT(facts.not_after, kNow.seconds());
}

TEST(AlpnProof, OfWhatIsNoNameOrNoDigestThereIsNone) {
  for (const char* name : {"", "127.0.0.1", "a b.test", "*.edge.test"})
    EXPECT_FALSE(make_alpn_proof(name, sha256("token.print"), kNow)) << name;
  for (const std::string& digest : {std::string(), std::string(31, 'x'), std::string(33, 'x')})
    EXPECT_FALSE(make_alpn_proof("edge.test", digest, kNow)) << digest.size();
}

}  // namespace
}  // namespace evercert::traffic
