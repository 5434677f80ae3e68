// SPDX-License-Identifier: Apache-2.0
// Idempotency keys whose claims come late, are lost, or lose: what was given out stays, what nobody has is revoked.
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "pki/serial.h"
#include "testkit/test_ca.h"

namespace evercert::ca {
namespace {

using Fate = testkit::MemoryStore::Fate;
constexpr auto kClaim = store::v1::Command::kClaimRequestKey;
constexpr auto kIssue = store::v1::Command::kIssue;

class RequestKeysTest : public testing::Test {
 protected:
  IssueRequest request(const std::string& name = "a.test") {
    IssueRequest wanted{testkit::TestCa::csr({name}), "server", {}, here.id, "", "", sha256(name), "key"};
    wanted.names = wanted.csr.names;
    return wanted;
  }
  Result<Issued> issue(IssueRequest wanted, std::size_t region = 1) {
    return testkit::finish(cluster.executor, cluster.region(region).ca->issue(cluster.executor, std::move(wanted)));
  }
  // Somebody else's request under the key has its claim in front of everything that comes now.
  std::string claim_by_another(const std::string& digest) {
    const std::string serial = pki::make_serial(RegionId{2}, os::secure_random());
    store::v1::Command command;
    command.mutable_claim_request_key()->set_request_key("key");
    command.mutable_claim_request_key()->set_serial(serial);
    command.mutable_claim_request_key()->set_request_digest(digest);
    EXPECT_TRUE(testkit::finish(cluster.executor,
                                cluster.store.submit(cluster.executor, kGlobalGroup, std::move(command), 1s)));
    return serial;
  }
  void before_the_claim(std::function<void()> happens) {
    cluster.store.before = [this, happens = std::move(happens)](GroupId, const store::v1::Command& command) {
      if (!command.has_claim_request_key()) return;
      cluster.store.before = nullptr;
      happens();
    };
  }
  void settle() {
    cluster.wall.advance(60);
    testkit::finish(cluster.executor, here.ca->settle_intents(cluster.executor));
    cluster.executor.run();
  }
  void crash() {
    here.disk.crash_keeping(0);
    ASSERT_TRUE(cluster.restart(here).has_value());
  }
  bool good(const std::string& serial) {
    const auto stored = cluster.store.certificate(serial).value();
    return stored && !stored->revoked();
  }
  std::vector<store::v1::Certificate> stored() { return cluster.store.list_certificates("", 10).value(); }
  const CertificateAuthority::Counts& counts() { return here.ca->counts(); }

  testkit::TestCa cluster{3};
  testkit::TestRegion& here = cluster.region(1);
};

TEST_F(RequestKeysTest, AnAnswerThatDidNotWaitForItsClaimIsTheKeysOwn) {
  cluster.store.next(Fate::kHeld, kClaim);
  const auto issued = issue(request());
  ASSERT_TRUE(issued.has_value()) << issued.error().message;
  cluster.store.release(Fate::kDone);
  cluster.executor.run();
  settle();
  EXPECT_TRUE(good(issued->serial));
  EXPECT_EQ(issue(request(), 2)->serial, issued->serial);
  EXPECT_EQ(counts().given_twice, 0u);
  EXPECT_EQ(counts().claims_repeated, 0u);
}

TEST_F(RequestKeysTest, AClaimThatLosesAfterItsAnswerWasGivenIsCountedAndTheCertificateStays) {
  cluster.store.next(Fate::kHeld, kClaim);
  const auto issued = issue(request());
  ASSERT_TRUE(issued.has_value());
  claim_by_another(sha256("a.test"));
  cluster.store.release(Fate::kDone);
  cluster.executor.run();
  EXPECT_EQ(counts().given_twice, 1u);
  settle();
  EXPECT_TRUE(good(issued->serial)) << "a client has it";
  crash();
  settle();
  EXPECT_TRUE(good(issued->serial)) << "also after a crash";
}

TEST_F(RequestKeysTest, AClaimThatIsLostOnItsWayAfterTheAnswerIsSentAgain) {
  for (const bool taken : {false, true}) {
    SCOPED_TRACE(taken);
    auto wanted = request();
    wanted.request_key = taken ? "key" : "free";
    cluster.store.next(Fate::kHeld, kClaim);
    const auto issued = issue(wanted);
    ASSERT_TRUE(issued.has_value());
    cluster.store.release(Fate::kLost);
    cluster.executor.run();
    if (taken) claim_by_another(sha256("a.test"));
    settle();
    EXPECT_EQ(counts().claims_repeated, taken ? 2u : 1u);
    EXPECT_EQ(counts().given_twice, taken ? 1u : 0u);
    EXPECT_EQ(cluster.store.request_key(wanted.request_key).value()->group, kGlobalGroup);
    EXPECT_TRUE(good(issued->serial));
  }
}

// The certificate is there, the answer is not, and the key went to another request: the same one or one of another
// kind.
struct Doubtful {
  const char* others;
  bool crashed;
};
class DoubtfulKeysTest : public RequestKeysTest, public testing::WithParamInterface<Doubtful> {};

TEST_P(DoubtfulKeysTest, WhatWasStoredInDoubtForAKeyThatAnotherHasIsRevokedInTheEnd) {
  before_the_claim([&] { claim_by_another(sha256(GetParam().others)); });
  cluster.store.next(Fate::kAnswerLost, kIssue);
  EXPECT_FALSE(issue(request()).has_value());
  ASSERT_EQ(stored().size(), 1u);
  const std::string serial = stored()[0].serial();
  EXPECT_TRUE(good(serial)) << "not decided yet";
  if (GetParam().crashed) crash();
  settle();
  EXPECT_FALSE(good(serial));
  EXPECT_EQ(counts().withdrawn, 1u);
  EXPECT_TRUE(here.intents->open_serials().empty());
}

TEST_P(DoubtfulKeysTest, ARevocationThatFailsIsMadeUpFor) {
  before_the_claim([&] { claim_by_another(sha256(GetParam().others)); });
  cluster.store.next(Fate::kRefused, store::v1::Command::kRevoke);
  EXPECT_FALSE(issue(request()).has_value());
  ASSERT_EQ(stored().size(), 1u);
  const std::string serial = stored()[0].serial();
  EXPECT_TRUE(good(serial));
  if (GetParam().crashed) crash();
  settle();
  EXPECT_FALSE(good(serial));
  EXPECT_TRUE(here.intents->open_serials().empty());
}

TEST_P(DoubtfulKeysTest, AStoredCertificateWhoseClaimHadNoAnswerIsSettled) {
  before_the_claim([&] {
    claim_by_another(sha256(GetParam().others));
    cluster.store.next(Fate::kLost, kClaim);
  });
  EXPECT_FALSE(issue(request()).has_value());
  ASSERT_EQ(stored().size(), 1u);
  const std::string serial = stored()[0].serial();
  EXPECT_TRUE(good(serial)) << "the claim may still win";
  if (GetParam().crashed) crash();
  settle();
  EXPECT_FALSE(good(serial));
}

INSTANTIATE_TEST_SUITE_P(Each, DoubtfulKeysTest,
                         testing::Values(Doubtful{"a.test", false}, Doubtful{"a.test", true}, Doubtful{"b.test", false},
                                         Doubtful{"b.test", true}),
                         [](const auto& each) {
                           return std::string(each.param.others[0] == 'a' ? "Same" : "Other") +
                                  (each.param.crashed ? "Crashed" : "Alive");
                         });

TEST_F(RequestKeysTest, WhatWasStoredInDoubtAndHasTheKeyStays) {
  cluster.store.next(Fate::kAnswerLost, kIssue);
  EXPECT_EQ(issue(request()).error().code, Code::kUnknownOutcome);
  crash();
  settle();
  const auto again = issue(request(), 2);
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(good(again->serial));
  EXPECT_EQ(stored().size(), 1u);
}

}  // namespace
}  // namespace evercert::ca
