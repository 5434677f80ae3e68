// SPDX-License-Identifier: Apache-2.0
// Issuance and revocation over the real state machine, with everything that may go wrong in between.
#include "ca/ca.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "pki/pem.h"
#include "testkit/test_ca.h"

namespace evercert::ca {
namespace {

using testkit::MemoryStore;

class Failing : public pki::Signer {
 public:
  explicit Failing(std::shared_ptr<pki::Signer> signer) : signer_(std::move(signer)) {}
  Result<std::string> sign(std::string_view tbs) const override {
    ++asked;
    if (fails) return fail(Code::kUnavailable, "the token is gone");
    return signer_->sign(tbs);
  }
  const std::string& spki_der() const override { return signer_->spki_der(); }
  const std::string& algorithm_der() const override { return signer_->algorithm_der(); }
  mutable int asked = 0;
  bool fails = true;

 private:
  std::shared_ptr<pki::Signer> signer_;
};

class CaTest : public testing::Test {
 protected:
  IssueRequest request(const std::string& key = "", const std::string& name = "a.test") {
    IssueRequest wanted{testkit::TestCa::csr({name}), "server", {}, here.id, "", "", sha256(name), key};
    wanted.names = wanted.csr.names;
    return wanted;
  }
  Result<Issued> issue(IssueRequest wanted, std::size_t region = 1) {
    return testkit::finish(cluster.executor, cluster.region(region).ca->issue(cluster.executor, std::move(wanted)));
  }
  Result<store::v1::Certificate> revoke(const std::string& serial, const std::string& request_id = "",
                                        std::size_t region = 1) {
    return testkit::finish(cluster.executor,
                           cluster.region(region).ca->revoke(cluster.executor, serial, 1, "someone", request_id));
  }
  std::size_t settle() {
    const auto settled = testkit::finish(cluster.executor, here.ca->settle_intents(cluster.executor));
    cluster.executor.run();
    return settled;
  }
  bool can_be_stored(const std::string& serial) {
    store::v1::Command command;
    command.mutable_issue()->mutable_certificate()->set_serial(serial);
    command.mutable_issue()->mutable_certificate()->set_der("x");
    return testkit::finish(cluster.executor,
                           cluster.store.submit(cluster.executor, home_group(here.id), std::move(command), 1s))
        .has_value();
  }
  std::vector<std::string> open() { return here.intents->open_serials(); }

  testkit::TestCa cluster{3};
  testkit::TestRegion& here = cluster.region(1);
};

TEST_F(CaTest, WhatIsAnsweredIsStored) {
  const auto issued = issue(request());
  ASSERT_TRUE(issued.has_value()) << issued.error().message;
  const auto stored = cluster.store.certificate(issued->serial).value();
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(here.ca->chain_of(*stored), issued->chain_pem);
  EXPECT_EQ(issued->issuer_region, "region-1");
  EXPECT_FALSE(issued->repeated);
  const auto chain = pki::from_pem("CERTIFICATE", issued->chain_pem).value();
  EXPECT_TRUE(pki::verify_chain(chain.at(0), {chain.at(1)}, cluster.root_der, testkit::kTestNow));
  EXPECT_TRUE(open().empty());
}

TEST_F(CaTest, WhatBreaksARuleLeavesNothingBehind) {
  auto wanted = request();
  wanted.profile = "root";
  EXPECT_EQ(issue(std::move(wanted)).error().code, Code::kInvalid);
  wanted = request();
  wanted.names.clear();
  EXPECT_EQ(issue(std::move(wanted)).error().code, Code::kInvalid);
  wanted = request();
  wanted.names = {{pki::NameKind::kEmail, "a@b.test"}};
  EXPECT_EQ(issue(std::move(wanted)).error().code, Code::kInvalid) << "a kind of name that the profile does not allow";
  EXPECT_TRUE(open().empty());
  EXPECT_TRUE(cluster.store.applied.empty());
  EXPECT_EQ(here.disk.contents("/node/intents"), "");
}

TEST_F(CaTest, TheIssuingKeyIsTriedAtMostOnceInFiveSecondsAndNothingIsStored) {
  ASSERT_TRUE(here.ca->try_key().has_value());
  const auto signer = std::make_shared<Failing>(here.signer);
  here.signer = signer;
  ASSERT_TRUE(cluster.restart(here).has_value());
  EXPECT_FALSE(here.ca->try_key().has_value());
  EXPECT_FALSE(here.ca->try_key().has_value());
  EXPECT_EQ(signer->asked, 1) << "whoever asks again at once is told the same";
  signer->fails = false;
  cluster.wall.advance(CertificateAuthority::kKeyTriedMs / 1000);
  EXPECT_TRUE(here.ca->try_key().has_value());
  EXPECT_EQ(signer->asked, 2);
  EXPECT_TRUE(cluster.store.applied.empty());
  EXPECT_TRUE(open().empty());
}

TEST_F(CaTest, NothingIsSignedByAClockThatIsNotTrusted) {
  cluster.store.trusted_clock = false;
  EXPECT_EQ(issue(request()).error().code, Code::kUnavailable);
  EXPECT_TRUE(cluster.store.applied.empty());
}

TEST_F(CaTest, NothingIsSignedWithoutAnIntentOnTheDisk) {
  here.disk.fail_next_sync();
  EXPECT_EQ(issue(request()).error().code, Code::kUnavailable);
  EXPECT_TRUE(cluster.store.applied.empty());
  EXPECT_EQ(issue(request()).error().code, Code::kUnavailable) << "the file is not trusted any more";
  ASSERT_TRUE(cluster.restart(here).has_value());
  EXPECT_TRUE(issue(request()).has_value());
}

TEST_F(CaTest, ARefusedIssuanceIsOverAtOnce) {
  cluster.store.next(MemoryStore::Fate::kRefused);
  EXPECT_EQ(issue(request()).error().code, Code::kUnavailable);
  EXPECT_TRUE(open().empty());
  EXPECT_EQ(cluster.store.certificate_count(), 0u);
}

TEST_F(CaTest, AnUnknownOutcomeIsSettledOnceItsProposerHasGivenUp) {
  cluster.store.next(MemoryStore::Fate::kLost);
  EXPECT_EQ(issue(request()).error().code, Code::kUnknownOutcome);
  cluster.store.next(MemoryStore::Fate::kAnswerLost);
  EXPECT_EQ(issue(request()).error().code, Code::kUnknownOutcome);
  ASSERT_EQ(open().size(), 2u);
  EXPECT_EQ(settle(), 0u) << "it may still be on its way";
  const auto serials = open();
  cluster.wall.advance(60);
  EXPECT_EQ(settle(), 2u);
  EXPECT_TRUE(open().empty());
  for (const auto& serial : serials) {
    const bool stored = cluster.store.certificate(serial).value().has_value();
    EXPECT_TRUE(stored || !can_be_stored(serial)) << "finished or voided";
  }
  EXPECT_EQ(cluster.store.certificate_count(), 1u);
}

// The machine goes off at each step of an issuance. Afterwards each intent is finished or voided, and what a client was
// told is there.
TEST_F(CaTest, AfterACrashAtAnyStepEveryIntentIsFinishedOrVoided) {
  int finished = 0, voided = 0;
  for (std::uint64_t operations = 0; operations < 12; ++operations) {
    for (const bool stored : {false, true}) {
      for (const std::size_t kept : {0u, 20u, 1000u}) {
        const auto before = cluster.store.certificate_count();
        here.disk.power_off_after(operations);
        if (!stored) cluster.store.next(MemoryStore::Fate::kLost);
        const auto task = testkit::try_finish(cluster.executor, here.ca->issue(cluster.executor, request()));
        const bool answered = task && task->has_value();
        cluster.store.forget_fates();  // nothing may have been proposed
        const bool happened = cluster.store.certificate_count() > before;
        EXPECT_TRUE(!answered || happened);
        here.disk.crash_keeping(kept);
        ASSERT_TRUE(cluster.restart(here).has_value());
        const auto left = here.intents->left_behind();
        settle();
        EXPECT_TRUE(here.intents->open_serials().empty());
        for (const auto& serial : left) {
          const bool there = cluster.store.certificate(serial).value().has_value();
          (there ? finished : voided) += 1;
          EXPECT_TRUE(there || !can_be_stored(serial)) << "a voided serial number";
        }
      }
    }
  }
  EXPECT_GT(finished, 0);
  EXPECT_GT(voided, 0);
}

TEST_F(CaTest, TheIntentIsDurableBeforeTheCertificateIsProposed) {
  bool seen = false;
  cluster.store.before = [&](GroupId, const store::v1::Command& command) {
    if (!command.has_issue()) return;
    seen =
        here.disk.contents("/node/intents").find(to_hex(command.issue().certificate().serial())) != std::string::npos;
    here.disk.crash_keeping(0);
    seen = seen && here.disk.contents("/node/intents").find(to_hex(command.issue().certificate().serial())) !=
                       std::string::npos;
  };
  EXPECT_TRUE(issue(request()).has_value());
  EXPECT_TRUE(seen);
}

TEST_F(CaTest, OneKeyIsOneCertificateInAnyRegion) {
  const auto wanted = request("key");
  const auto first = issue(wanted, 1);
  ASSERT_TRUE(first.has_value());
  for (const std::size_t region : {1u, 2u, 3u}) {
    const auto again = issue(wanted, region);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->serial, first->serial);
    EXPECT_EQ(again->chain_pem, first->chain_pem);
    EXPECT_EQ(again->issuer_region, "region-1");
    EXPECT_TRUE(again->repeated);
  }
  EXPECT_EQ(cluster.store.certificate_count(), 1u);
  EXPECT_EQ(issue(request("key", "b.test"), 2).error().code, Code::kConflict) << "the key for something else";
  EXPECT_NE(issue(request("", "a.test"))->serial, first->serial) << "without a key each request is its own";
}

TEST_F(CaTest, ALostAnswerIsHadByTheSameKey) {
  cluster.store.next(MemoryStore::Fate::kAnswerLost, store::v1::Command::kIssue);
  EXPECT_EQ(issue(request("key")).error().code, Code::kUnknownOutcome);
  const auto again = issue(request("key"), 2);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(cluster.store.certificate_count(), 1u);
}

TEST_F(CaTest, OneKeyInTwoRegionsAtOnceIsOneCertificate) {
  const auto wanted = request("key");
  std::optional<Result<Issued>> second;
  cluster.store.before = [&](GroupId, const store::v1::Command& command) {
    if (!command.has_claim_request_key()) return;
    cluster.store.before = nullptr;
    second = issue(wanted, 2);
  };
  const auto first = issue(wanted, 1);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  ASSERT_TRUE(second && second->has_value());
  EXPECT_EQ(first->serial, (*second)->serial);
  const auto all = cluster.store.list_certificates("", 10).value();
  ASSERT_EQ(all.size(), 2u);
  for (const auto& certificate : all)
    EXPECT_EQ(certificate.revoked(), certificate.serial() != first->serial) << "what nobody was given is revoked";
}

TEST_F(CaTest, AKeyWhoseRequestCameToNothingIsBoundAnew) {
  using Fate = MemoryStore::Fate;
  for (const Fate fate : {Fate::kRefused, Fate::kLost}) {
    const auto wanted = request("key-" + std::to_string(static_cast<int>(fate)));
    cluster.store.next(fate, store::v1::Command::kIssue);
    EXPECT_FALSE(issue(wanted, 1).has_value());
    const auto again = issue(wanted, 2);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(issue(wanted, 3)->serial, again->serial);
  }
  EXPECT_EQ(cluster.store.certificate_count(), 2u);
  cluster.store.next(Fate::kRefused, store::v1::Command::kClaimRequestKey);
  EXPECT_FALSE(issue(request("unclaimed"), 1).has_value());
  EXPECT_EQ(issue(request("unclaimed"), 2)->serial, issue(request("unclaimed"), 3)->serial);
}

TEST_F(CaTest, AnEdgeThatTriesAgainFindsItsFirstAttempt) {
  auto wanted = request();
  wanted.request_id = std::string(15, 'e');
  const auto first = issue(wanted, 1);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  wanted.attempt = 2;
  wanted.home = cluster.region(2).id;
  const auto second = issue(wanted, 2);
  ASSERT_TRUE(second.has_value()) << second.error().message;
  EXPECT_EQ(second->serial, first->serial);
  EXPECT_TRUE(second->repeated);
  EXPECT_EQ(cluster.store.certificate_count(), 1u);
  wanted.request_digest = sha256("other");
  EXPECT_EQ(issue(wanted, 2).error().code, Code::kConflict);
}

TEST_F(CaTest, ARevocationIsOneEventWhoeverRepeatsIt) {
  const auto serial = issue(request())->serial;
  const auto revoked = revoke(serial, "request-1", 2);
  ASSERT_TRUE(revoked.has_value()) << revoked.error().message;
  EXPECT_TRUE(revoked->revoked());
  EXPECT_EQ(revoked->revoked_by(), "someone");
  cluster.wall.advance(100);
  const auto again = revoke(serial, "request-1", 3);
  ASSERT_TRUE(again.has_value()) << "the repetition of the same request";
  EXPECT_EQ(cluster.store.certificate(serial).value()->revoked_at_ms(), testkit::kTestNow * 1000);
  EXPECT_EQ(revoke(serial, "request-2").error().code, Code::kConflict);
  EXPECT_EQ(revoke(serial).error().code, Code::kConflict);
  EXPECT_EQ(revoke(std::string(1, '\x01') + std::string(15, 'x')).error().code, Code::kNotFound);
  EXPECT_EQ(revoke("no serial number").error().code, Code::kNotFound);
}

TEST_F(CaTest, ARegionThatCannotBeSureSaysSo) {
  const auto serial = issue(request())->serial;
  cluster.store.fresh = false;
  const auto found = testkit::finish(cluster.executor, here.ca->find(cluster.executor, serial));
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->certificate.has_value());
  EXPECT_TRUE(found->stale);
}

// ------------------------------------------------------------------------------------------------------ membership

class FencedCaTest : public CaTest {
 protected:
  void put(store::v1::RegionState state) {
    store::v1::Command command;
    auto* wanted = command.mutable_change_membership();
    wanted->set_expected_epoch(cluster.store.epoch().value);
    wanted->set_region(here.id.value);
    wanted->set_state(state);
    wanted->set_by("alice");
    submit(kGlobalGroup, std::move(command));
  }
  void set_floor(std::uint64_t epoch) {
    store::v1::Command command;
    command.mutable_set_epoch_floor()->set_region(here.id.value);
    command.mutable_set_epoch_floor()->set_epoch(epoch);
    submit(home_group(here.id), std::move(command));
  }
  void submit(GroupId group, store::v1::Command command) {
    const auto done =
        testkit::finish(cluster.executor, cluster.store.submit(cluster.executor, group, std::move(command), 1s));
    ASSERT_TRUE(done.has_value()) << done.error().message;
  }
};

TEST_F(FencedCaTest, TheKeyOfAFencedRegionIsNotUsed) {
  const auto before = issue(request("key"));
  ASSERT_TRUE(before.has_value());
  put(store::v1::FENCED);
  const auto open_before = open();
  const auto refused = issue(request());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnavailable) << "another region may do it";
  EXPECT_TRUE(refused.error().message.starts_with("region-1: this region is fenced since ")) << refused.error().message;
  EXPECT_EQ(open(), open_before) << "nothing was begun";
  const auto repeated = issue(request("key"));
  ASSERT_TRUE(repeated.has_value()) << "what was signed before is answered as before: no key is needed for that";
  EXPECT_EQ(repeated->serial, before->serial);
  put(store::v1::SERVING);
  const auto after = issue(request());
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->epoch, Epoch{3});
  EXPECT_EQ(cluster.store.certificate(after->serial).value()->epoch(), 3u);
}

TEST_F(FencedCaTest, ADrainedRegionSigns) {
  put(store::v1::DRAINING);
  EXPECT_TRUE(issue(request()).has_value());
}

TEST_F(FencedCaTest, WhatIsSignedWhileTheFenceComesIsNobodys) {
  bool once = true;
  cluster.store.before = [&](GroupId, const store::v1::Command& command) {
    if (command.has_issue() && std::exchange(once, false)) set_floor(2);
  };
  const auto refused = issue(request());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_TRUE(open().empty()) << "its serial number is done with";
  EXPECT_EQ(cluster.store.certificate_count(), 0u);
}

}  // namespace
}  // namespace evercert::ca
