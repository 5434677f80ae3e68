// SPDX-License-Identifier: Apache-2.0
// OCSP answers and CRLs: they follow what happens to certificates.
#include <gtest/gtest.h>

#include "ca/crl_publisher.h"
#include "ca/ocsp_responder.h"
#include "testkit/test_ca.h"

namespace evercert::ca {
namespace {

using testkit::MemoryStore;

class StatusTest : public testing::Test {
 protected:
  StatusTest() {
    std::vector<OcspIssuer> issuers;
    for (std::size_t r = 1; r <= 2; ++r) {
      auto [certificate, signer] = cluster.responder(cluster.region(r));
      issuers.push_back({cluster.region(r).id, cluster.region(r).certificate_der, certificate, signer});
    }
    OcspOptions options;
    options.regions = 2;
    options.region = RegionId{1};
    responder = OcspResponder::create(options, std::move(issuers), cluster.store, cluster.wall).value();
  }
  std::string issue(std::size_t region = 1) {
    IssueRequest wanted{testkit::TestCa::csr({"a.test"}), "server", {}, cluster.region(region).id, "", "", ""};
    wanted.names = wanted.csr.names;
    return testkit::finish(cluster.executor, cluster.region(region).ca->issue(cluster.executor, std::move(wanted)))
        .value()
        .serial;
  }
  void revoke(const std::string& serial) {
    ASSERT_TRUE(
        testkit::finish(cluster.executor, cluster.region(2).ca->revoke(cluster.executor, serial, 1, "someone", "")));
  }
  OcspReply reply(const std::string& request) {
    return testkit::finish(cluster.executor, responder->answer(cluster.executor, request));
  }
  OcspReply ask(const std::string& serial, std::size_t issuer = 1) {
    return reply(pki::make_ocsp_request(cluster.region(issuer).certificate_der, serial).value());
  }
  pki::CertStatus status(const OcspReply& answer, const std::string& serial, std::size_t issuer = 1) {
    return pki::read_ocsp_response(*answer.der, cluster.region(issuer).certificate_der, serial).value().status;
  }

  testkit::TestCa cluster{2};
  std::unique_ptr<OcspResponder> responder;
};

TEST_F(StatusTest, AnAnswerIsKeptUntilTheCertificateChanges) {
  const auto serial = issue(), other = issue();
  const auto first = ask(serial), first_other = ask(other);
  EXPECT_EQ(status(first, serial), pki::CertStatus::kGood);
  EXPECT_EQ(ask(serial).der, first.der) << "the same bytes";
  revoke(serial);
  EXPECT_EQ(status(ask(serial), serial), pki::CertStatus::kRevoked);
  EXPECT_EQ(ask(other).der, first_other.der) << "answers about others stay";
}

TEST_F(StatusTest, AnAnswerIsMadeAnewBeforeItIsOld) {
  const auto serial = issue();
  const auto first = ask(serial);
  cluster.wall.advance(1700);
  EXPECT_EQ(ask(serial).der, first.der);
  cluster.wall.advance(200);  // past half of its life
  const auto second = ask(serial);
  EXPECT_NE(second.der, first.der);
  EXPECT_GT(second.next_update, first.next_update);
}

TEST_F(StatusTest, NothingIsSaidToBeGoodThatIsNotKnown) {
  const std::string never = std::string(1, '\x01') + std::string(15, 'x');
  EXPECT_EQ(status(ask(never), never), pki::CertStatus::kUnknown);
  const auto serial = issue(1);
  EXPECT_EQ(status(ask(serial, 2), serial, 2), pki::CertStatus::kUnknown) << "of another issuer";
  cluster.store.next(MemoryStore::Fate::kDone);
  const auto late = issue(2);
  EXPECT_EQ(status(ask(late, 2), late, 2), pki::CertStatus::kGood);
}

TEST_F(StatusTest, NothingNewSaysGoodOfWhatWaitsToBeRevoked) {
  const auto serial = issue(), other = issue();
  const auto first = ask(serial);
  ASSERT_TRUE(first.kept);
  const auto position = responder->changes().position();
  responder->hold(serial);
  EXPECT_FALSE(responder->still_right(*first.kept)) << "what is kept goes";
  EXPECT_EQ(responder->changes().since(position).serials, std::vector<std::string>{serial}) << "edges let go of theirs";
  responder->hold(serial);  // asked for twice
  const std::string later = pki::ocsp_error_response(pki::OcspError::kTryLater);
  EXPECT_EQ(*ask(serial).der, later);
  EXPECT_EQ(ask(serial).kept, nullptr);
  EXPECT_EQ(status(ask(other), other), pki::CertStatus::kGood);
  responder->release(serial);
  EXPECT_EQ(*ask(serial).der, later) << "one still waits";
  revoke(serial);
  EXPECT_EQ(status(ask(serial), serial), pki::CertStatus::kRevoked) << "what is revoked is told so at once";
  responder->release(serial);
  responder->release(serial);  // once too often does no harm
  EXPECT_EQ(status(ask(serial), serial), pki::CertStatus::kRevoked);
  responder->hold(other);
  responder->release(other);  // dropped, or refused
  EXPECT_EQ(status(ask(other), other), pki::CertStatus::kGood);
}

TEST_F(StatusTest, ARegionThatIsCutOffSaysNothingLasting) {
  const auto serial = issue(), never = std::string(1, '\x01') + std::string(15, 'x');
  cluster.store.fresh = false;
  const auto stale = ask(serial);
  EXPECT_TRUE(stale.stale);
  EXPECT_LE(stale.next_update, testkit::kTestNow + 300);
  EXPECT_EQ(*ask(never).der, pki::ocsp_error_response(pki::OcspError::kTryLater)) << "another region may know it";
  cluster.store.fresh = true;
  EXPECT_NE(ask(serial).der, stale.der) << "it was not kept";
}

TEST_F(StatusTest, ANodeOfARemovedRegionCallsNothingGoodByWhatItHeldWhenItLeft) {
  const auto serial = issue(), bad = issue();
  revoke(bad);
  const auto told = [&](store::v1::Command command) {
    ASSERT_TRUE(testkit::finish(cluster.executor,
                                cluster.store.submit(cluster.executor, kGlobalGroup, std::move(command), 1s)));
  };
  store::v1::Command third, drain, removal;
  auto& found = *third.mutable_found_region();
  found.set_expected_epoch(1);
  found.set_region(3);
  found.set_name("three");
  found.add_voters(257);
  found.add_voters(513);
  told(third);
  drain.mutable_change_membership()->set_expected_epoch(2);
  drain.mutable_change_membership()->set_region(1);
  drain.mutable_change_membership()->set_state(store::v1::DRAINING);
  told(drain);
  cluster.store.fresh = false;
  EXPECT_EQ(status(ask(serial), serial), pki::CertStatus::kGood);
  removal.mutable_change_membership()->set_expected_epoch(3);
  removal.mutable_change_membership()->set_region(1);
  removal.mutable_change_membership()->set_state(store::v1::REMOVED);
  for (const std::uint64_t node : {513, 769}) removal.mutable_change_membership()->add_nodes()->set_node(node);
  told(removal);
  EXPECT_EQ(*ask(serial).der, pki::ocsp_error_response(pki::OcspError::kTryLater));
  EXPECT_EQ(status(ask(bad), bad), pki::CertStatus::kRevoked) << "that is so for ever";
}

TEST_F(StatusTest, QuestionsThatCannotBeAnsweredAreRefused) {
  EXPECT_EQ(*reply("garbage").der, pki::ocsp_error_response(pki::OcspError::kMalformedRequest));
  const auto foreign = pki::make_ocsp_request(cluster.root_der, issue()).value();
  EXPECT_EQ(*reply(foreign).der, pki::ocsp_error_response(pki::OcspError::kUnauthorized));
}

class CrlTest : public StatusTest {
 protected:
  CrlTest() {
    store::GroupStatus own;
    own.group = home_group(RegionId{1});
    own.leads_here = true;
    cluster.store.status = {own};
    CrlOptions options;
    options.region = RegionId{1};
    options.name = "region-1";
    options.self = node_id(RegionId{1}, 1);
    publisher = std::make_unique<CrlPublisher>(options, cluster.region(1).certificate_der,
                                               std::make_shared<OwnCrlKey>(pki::crl_signer(cluster.region(1).signer)),
                                               cluster.store, cluster.wall, cluster.executor);
  }
  std::optional<pki::CrlFacts> published() {
    const auto stored = cluster.store.crl(RegionId{1}).value();
    if (!stored) return std::nullopt;
    const auto facts = pki::read_crl(stored->der(), cluster.region(1).certificate_der);
    EXPECT_TRUE(facts.has_value());
    EXPECT_EQ(facts->number, stored->number());
    return *facts;
  }
  std::uint64_t number() { return published()->number; }
  Result<std::uint64_t> publish() { return testkit::finish(cluster.executor, publisher->publish()); }

  std::unique_ptr<CrlPublisher> publisher;
};

TEST_F(CrlTest, ANewCaPublishesAtOnceAndAfterEachRevocation) {
  publisher->start();
  cluster.executor.advance(1s);
  ASSERT_TRUE(published().has_value());
  EXPECT_TRUE(published()->entries.empty());
  const auto first = number();
  const auto serial = issue(1), foreign = issue(2);
  cluster.executor.advance(10s);
  EXPECT_EQ(number(), first) << "nothing happened that a list tells";
  revoke(foreign);
  cluster.executor.advance(10s);
  EXPECT_EQ(number(), first) << "another issuer's list tells that";
  revoke(serial);
  cluster.executor.advance(2s);
  ASSERT_EQ(published()->entries.size(), 1u);
  EXPECT_EQ(published()->entries[0].serial, serial);
  EXPECT_EQ(published()->entries[0].reason, 1);
  EXPECT_GT(number(), first);
  cluster.wall.advance(3600);
  const auto second = number();
  cluster.executor.advance(2s);
  EXPECT_GT(number(), second) << "the interval is over";
}

TEST_F(CrlTest, NumbersOnlyGrowWhateverFails) {
  std::uint64_t last = 0;
  const auto serial = issue(1);
  revoke(serial);
  using Fate = MemoryStore::Fate;
  for (const Fate allocation : {Fate::kDone, Fate::kRefused, Fate::kLost, Fate::kAnswerLost}) {
    for (const Fate put : {Fate::kDone, Fate::kRefused, Fate::kLost, Fate::kAnswerLost}) {
      cluster.store.next(allocation);
      if (allocation == Fate::kDone) cluster.store.next(put);
      const auto done = publish();
      EXPECT_EQ(done.has_value(), allocation == Fate::kDone && put == Fate::kDone);
      if (published()) {
        EXPECT_GE(number(), last);
        last = number();
      }
      ASSERT_TRUE(publish().has_value());
      EXPECT_GT(number(), last);
      last = number();
    }
  }
}

TEST_F(CrlTest, AnOlderListDoesNotReplaceANewerOne) {
  std::uint64_t newer = 0;
  cluster.store.before = [&](GroupId, const store::v1::Command& command) {
    if (!command.has_put_crl()) return;
    cluster.store.before = nullptr;
    newer = publish().value();
  };
  EXPECT_EQ(publish().error().code, Code::kConflict);
  EXPECT_EQ(number(), newer);
}

TEST_F(CrlTest, AFailureIsMadeUpForAndOthersAreLeftAlone) {
  publisher->start();
  cluster.store.next(MemoryStore::Fate::kRefused);
  cluster.executor.advance(3s);
  EXPECT_TRUE(published().has_value()) << "tried again";
  const auto before = number();
  cluster.store.status[0].leads_here = false;
  cluster.store.status[0].leader = node_id(RegionId{1}, 2);
  cluster.wall.advance(7200);
  cluster.executor.advance(5s);
  EXPECT_EQ(number(), before) << "another zone leads";
  cluster.store.status[0].leader = node_id(RegionId{2}, 1);
  cluster.executor.advance(5s);
  EXPECT_GT(number(), before) << "no zone of the region leads: its first one publishes";
  const auto second = number();
  cluster.store.trusted_clock = false;
  cluster.wall.advance(7200);
  cluster.executor.advance(5s);
  EXPECT_EQ(number(), second) << "its dates would be wrong";
}

TEST_F(CrlTest, AFencedRegionSignsNoListAndItsLastOneStays) {
  publisher->start();
  cluster.executor.advance(1s);
  const auto first = number();
  store::v1::Command fence;
  fence.mutable_change_membership()->set_expected_epoch(1);
  fence.mutable_change_membership()->set_region(1);
  fence.mutable_change_membership()->set_state(store::v1::FENCED);
  ASSERT_TRUE(
      testkit::finish(cluster.executor, cluster.store.submit(cluster.executor, kGlobalGroup, std::move(fence), 1s)));
  cluster.wall.advance(7200);
  cluster.executor.advance(10s);
  EXPECT_EQ(number(), first);
  EXPECT_FALSE(testkit::finish(cluster.executor, publisher->publish()).has_value()) << "not by hand either";
}

// The CRLs of region 2, as a node of region 1 sees to them.
class StandInTest : public StatusTest {
 protected:
  struct Key : CrlKey {
    Task<Opened> open(Executor&, store::Activation activation) override {
      ++opened;
      under = activation;
      if (!has_shares) co_return fail(Code::kUnavailable, "too few shares");
      co_return pki::crl_signer(signer);
    }
    void put_away() override { ++put_aways; }
    std::shared_ptr<pki::Signer> signer;
    store::Activation under;
    bool has_shares = true;
    int opened = 0, put_aways = 0;
  };

  StandInTest() {
    key->signer = cluster.region(2).signer;
    store::GroupStatus home;
    home.group = home_group(RegionId{2});
    home.leads_here = true;
    cluster.store.status = {home};
    CrlOptions options;
    options.region = RegionId{2};
    options.name = "region-2";
    options.self = node_id(RegionId{1}, 1);
    publisher = std::make_unique<CrlPublisher>(options, cluster.region(2).certificate_der, key, cluster.store,
                                               cluster.wall, cluster.executor);
    publisher->start();
  }
  std::uint64_t put(std::uint32_t region, store::v1::RegionState state) {
    store::v1::Command command;
    command.mutable_change_membership()->set_expected_epoch(cluster.store.epoch().value);
    command.mutable_change_membership()->set_region(region);
    command.mutable_change_membership()->set_state(state);
    return testkit::finish(cluster.executor, cluster.store.submit(cluster.executor, kGlobalGroup, command, 1s))
        .value()
        .number();
  }
  // As region 2 itself would.
  Result<std::uint64_t> publish_at_home() {
    store::v1::Command command;
    command.mutable_allocate_crl_number()->set_issuer_region(2);
    command.mutable_allocate_crl_number()->set_epoch(cluster.store.epoch().value);
    const auto number =
        testkit::finish(cluster.executor, cluster.store.submit(cluster.executor, kGlobalGroup, command, 1s));
    if (!number) return fail(number.error());
    store::v1::Command list;
    list.mutable_put_crl()->mutable_crl()->set_issuer_region(2);
    list.mutable_put_crl()->mutable_crl()->set_number(number->number());
    list.mutable_put_crl()->mutable_crl()->set_epoch(cluster.store.epoch().value);
    list.mutable_put_crl()->mutable_crl()->set_this_update(cluster.wall.now().seconds());
    const auto stored =
        testkit::finish(cluster.executor, cluster.store.submit(cluster.executor, home_group(RegionId{2}), list, 1s));
    if (!stored) return fail(stored.error());
    return number->number();
  }
  store::v1::Crl stored() { return cluster.store.crl(RegionId{2}).value().value_or(store::v1::Crl{}); }
  pki::CrlFacts facts() { return pki::read_crl(stored().der(), cluster.region(2).certificate_der).value(); }

  std::shared_ptr<Key> key = std::make_shared<Key>();
  std::unique_ptr<CrlPublisher> publisher;
};

TEST_F(StandInTest, ARegionThatServesSignsItself) {
  cluster.executor.advance(10s);
  EXPECT_EQ(stored().number(), 0u);
  EXPECT_EQ(testkit::finish(cluster.executor, publisher->publish()).error().code, Code::kUnavailable) << "nor by hand";
  EXPECT_EQ(key->opened, 0) << "its standby stays closed";
}

TEST_F(StandInTest, FromTheFenceOnItsListsAreSignedHereAndTellWhatIsRevokedSince) {
  ASSERT_TRUE(publish_at_home().has_value());
  const auto last = publish_at_home().value();
  const auto serial = issue(2);
  const auto epoch = put(2, store::v1::FENCED);
  cluster.executor.advance(3s);
  EXPECT_GT(stored().number(), last) << "who takes over shows at once that it can";
  EXPECT_EQ(stored().signer_region(), 1u);
  EXPECT_EQ(stored().epoch(), epoch);
  EXPECT_EQ(key->under, (store::Activation{RegionId{1}, epoch}));
  EXPECT_TRUE(facts().entries.empty());
  auto number = stored().number();
  cluster.executor.advance(20s);
  EXPECT_EQ(stored().number(), number) << "nothing happened that a list tells";
  revoke(serial);
  cluster.executor.advance(3s);
  EXPECT_GT(stored().number(), number);
  ASSERT_EQ(facts().entries.size(), 1u);
  EXPECT_EQ(facts().entries[0].serial, serial);
  number = stored().number();
  cluster.wall.advance(3601);
  cluster.executor.advance(3s);
  EXPECT_GT(stored().number(), number) << "the interval is over";
}

TEST_F(StandInTest, WhenTheRegionIsAdmittedTheKeyIsPutAwayAndNumbersGoOn) {
  put(2, store::v1::FENCED);
  cluster.executor.advance(3s);
  const auto number = stored().number();
  ASSERT_GT(number, 0u);
  EXPECT_EQ(key->put_aways, 1) << "it begins anew";
  put(2, store::v1::SERVING);
  cluster.wall.advance(7200);
  cluster.executor.advance(10s);
  EXPECT_EQ(stored().number(), number);
  EXPECT_EQ(key->put_aways, 2);
  EXPECT_GT(publish_at_home().value(), number);
}

// The stand-in has its number, and the region is back before the list is stored.
TEST_F(StandInTest, AListThatIsLateIsNotStoredOverTheRegionsOwn) {
  put(2, store::v1::FENCED);
  std::uint64_t own = 0;
  cluster.store.before = [&](GroupId, const store::v1::Command& command) {
    if (!command.has_put_crl()) return;
    cluster.store.before = nullptr;
    put(2, store::v1::SERVING);
    own = publish_at_home().value();
  };
  EXPECT_EQ(testkit::finish(cluster.executor, publisher->publish()).error().code, Code::kConflict);
  EXPECT_EQ(stored().number(), own);
  EXPECT_EQ(stored().signer_region(), 0u);
}

TEST_F(StandInTest, WhoIsFencedItselfStandsInForNobody) {
  put(2, store::v1::FENCED);
  cluster.executor.advance(3s);
  const auto number = stored().number();
  put(2, store::v1::SERVING);
  put(1, store::v1::FENCED);
  cluster.wall.advance(7200);
  cluster.executor.advance(10s);
  EXPECT_EQ(stored().number(), number);
}

TEST_F(StandInTest, WithoutTheSharesItGoesOnAskingLessAndLessOften) {
  key->has_shares = false;
  const auto number = publish_at_home().value();
  put(2, store::v1::FENCED);
  cluster.executor.advance(300s);
  EXPECT_EQ(stored().number(), number);
  EXPECT_GT(key->opened, 5);
  EXPECT_LT(key->opened, 30);
  key->has_shares = true;
  cluster.executor.advance(40s);
  EXPECT_GT(stored().number(), number);
}

TEST_F(StandInTest, AListThatTheIssuersCertificateDoesNotVerifyIsNotStored) {
  key->signer = cluster.region(1).signer;
  put(2, store::v1::FENCED);
  cluster.executor.advance(3s);
  EXPECT_EQ(stored().number(), 0u);
  EXPECT_GT(key->put_aways, 1) << "it is opened anew";
}

}  // namespace
}  // namespace evercert::ca
