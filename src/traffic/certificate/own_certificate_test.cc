// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/own_certificate.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "traffic/certificate/acme_world_test.h"

namespace evercert::traffic {
namespace {

constexpr const char* kFile = "/edge/edge-1-acme.pem";

class OwnCertificateTest : public AcmeWorld {
 protected:
  OwnCertificateTest() {
    EXPECT_TRUE(disk.make_dirs("/edge"));
    disk.set_contents("/edge/account.key", account_pem());
    options.file = kFile;
    options.account_key = "/edge/account.key";
    options.names = {{pki::NameKind::kDns, "edge.test"}, {pki::NameKind::kDns, "ca.edge.test"}};
    options.hosts = {"other.test"};
    options.directory = kDirectory;
  }

  void start() {
    // What the one before has posted never runs any more.
    life.reset();
    own.reset();
    life = std::make_unique<testkit::MortalExecutor>(cluster.executor);
    const auto ask_ocsp = [this](Executor&, std::string der) { return answer_ocsp(std::move(der)); };
    auto opened = OwnCertificate::open(
        options, {disk, cluster.wall, cluster.clock, random(), *life, ask(), ask_ocsp, [this] { ++changes; }});
    ASSERT_TRUE(opened) << opened.error().message;
    own = std::move(*opened);
    own->start();
    pass(2);
  }
  void pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      cluster.wall.advance(1);
      cluster.clock.advance(1s);
      cluster.executor.advance(1s);
    }
  }
  Task<Result<std::string>> answer_ocsp(std::string der) {
    ++ocsp_asked;
    if (before_ocsp) before_ocsp();
    if (!responding) co_return fail(Code::kUnavailable, "no responder");
    const auto request = pki::parse_ocsp_request(der).value();
    const std::int64_t now = cluster.wall.now().seconds();
    co_return pki::make_ocsp_response({{request.ids.front(), ocsp_says, now, 1}}, now, now + 3600, std::nullopt,
                                      *responder.second, responder.first);
  }
  std::string serial() const { return own->status().value("serial", ""); }
  std::size_t orders() const {
    return static_cast<std::size_t>(std::count(asked.begin(), asked.end(), "/acme/new-order"));
  }
  bool stapled() { return disk.exists(std::string(kFile) + "." + serial() + ".ocsp"); }

  FakeDisk disk;
  OwnCertificateOptions options;
  const std::pair<std::string, std::shared_ptr<pki::Signer>> responder = cluster.responder(cluster.region(1));
  bool responding = true;
  pki::CertStatus ocsp_says = pki::CertStatus::kGood;
  std::function<void()> before_ocsp;
  int changes = 0, ocsp_asked = 0;
  std::unique_ptr<testkit::MortalExecutor> life;
  std::unique_ptr<OwnCertificate> own;
};

TEST_F(OwnCertificateTest, TheFirstOneComesByItselfWithItsKeyAndItsOcspAnswer) {
  bool before_certificate = false;
  before_ocsp = [&] { before_certificate = !disk.exists(kFile); };
  start();
  EXPECT_EQ(own->status()["state"], "valid") << own->status().dump();
  const auto ders = pki::from_pem("CERTIFICATE", disk.contents(kFile)).value();
  EXPECT_TRUE(pki::verify_chain(ders.front(), {ders[1]}, cluster.root_der, testkit::kTestNow));
  EXPECT_EQ(keys::software_signer(disk.contents(kFile)).value()->spki_der(),
            pki::read_certificate(ders.front())->spki_der);
  EXPECT_TRUE(before_certificate) << "a certificate that must be stapled is never without";
  EXPECT_TRUE(stapled());
  EXPECT_EQ(changes, 1);
}

TEST_F(OwnCertificateTest, AfterARestartItIsThereAndNothingIsOrdered) {
  start();
  const auto before = serial();
  start();
  EXPECT_EQ(serial(), before);
  EXPECT_EQ(orders(), 1U);
  EXPECT_EQ(ocsp_asked, 1) << "the answer to staple is kept too";
}

TEST_F(OwnCertificateTest, ItIsRenewedInTimeAndTheOldAnswerIsTakenAway) {
  start();
  const auto before = serial();
  cluster.wall.advance(59ll * 86400);
  pass(2);
  EXPECT_EQ(serial(), before);
  cluster.wall.advance(9ll * 86400);
  pass(2);
  EXPECT_NE(serial(), before);
  EXPECT_FALSE(disk.exists(std::string(kFile) + "." + before + ".ocsp"));
}

TEST_F(OwnCertificateTest, WhenIssuingFailsTheOldOneStaysAndItIsTriedAgain) {
  start();
  const auto before = disk.contents(kFile);
  validator.answer = api::AcmeError{400, "connection", "nobody listens"};
  cluster.wall.advance(70ll * 86400);
  pass(3);
  EXPECT_EQ(disk.contents(kFile), before);
  EXPECT_EQ(own->status()["failures"], 1);
  EXPECT_NE(own->status()["last_error"].get<std::string>().find("nobody listens"), std::string::npos);
  EXPECT_NE(own->metrics().find("evercert_edge_certificate_orders_total{result=\"failed\"} 1\n"), std::string::npos);
  pass(60);
  EXPECT_GE(own->status()["failures"], 3) << "again and again";
  EXPECT_LE(own->status()["failures"], 5) << "but with pauses";
  validator.answer.reset();
  pass(120);
  EXPECT_NE(disk.contents(kFile), before);
  EXPECT_EQ(own->status()["failures"], 0);
  EXPECT_EQ(own->status()["last_error"], "");
}

TEST_F(OwnCertificateTest, ADiskThatIsFullLeavesTheOldOneWhole) {
  start();
  const auto before = disk.contents(kFile);
  disk.set_space(100);
  own->renew();
  pass(3);
  EXPECT_EQ(own->status()["failures"], 1);
  EXPECT_EQ(disk.contents(kFile), before);
  disk.set_space(std::nullopt);
  pass(30);
  EXPECT_NE(disk.contents(kFile), before);
  EXPECT_EQ(orders(), 2U) << "what was issued is not ordered again";
}

TEST_F(OwnCertificateTest, OtherNamesNeedAnotherCertificate) {
  start();
  const auto before = serial();
  options.names.push_back({pki::NameKind::kIp, "127.0.0.1"});
  start();
  EXPECT_NE(serial(), before);
  EXPECT_EQ(pki::read_certificate(pki::from_pem("CERTIFICATE", disk.contents(kFile))->front())->names.size(), 3U);
}

TEST_F(OwnCertificateTest, WhatIsDamagedOnDiskIsOrderedAnew) {
  start();
  const auto before = serial();
  disk.set_contents(kFile, disk.contents(kFile).substr(0, 300));
  start();
  EXPECT_EQ(own->status()["state"], "valid");
  EXPECT_NE(serial(), before);
}

TEST_F(OwnCertificateTest, AnOperatorMayWantANewOneNowWhateverFailedBefore) {
  start();
  const auto before = serial();
  region = 0;
  own->renew();
  pass(2);
  region = 1;
  own->renew();
  pass(2);
  EXPECT_NE(serial(), before);
}

TEST_F(OwnCertificateTest, TheAnswerToStapleIsFetchedAgainAndKeptWhenThatFails) {
  start();
  const auto file = std::string(kFile) + "." + serial() + ".ocsp";
  const auto first = disk.contents(file);
  cluster.wall.advance(1900);
  responding = false;
  pass(10);
  EXPECT_EQ(disk.contents(file), first);
  EXPECT_EQ(own->status()["staple"]["last_error"], "no responder");
  EXPECT_GE(ocsp_asked, 2);
  responding = true;
  pass(90);
  EXPECT_NE(disk.contents(file), first);
  EXPECT_EQ(own->status()["staple"]["last_error"], "");
}

TEST_F(OwnCertificateTest, ARevokedCertificateIsReplaced) {
  start();
  const auto before = serial();
  cluster.wall.advance(1900);
  ocsp_says = pki::CertStatus::kRevoked;
  pass(3);
  ocsp_says = pki::CertStatus::kGood;
  pass(3);
  EXPECT_NE(serial(), before);
}

// RFC 7633.
TEST_F(OwnCertificateTest, WhatMustBeStapledIsInstalledWithItsAnswerAlone) {
  start();
  const auto before = serial();
  cluster.must_staple = true;
  for (std::size_t r = 1; r <= kRegions; ++r) ASSERT_TRUE(cluster.restart(cluster.region(r)));
  restart({});
  responding = false;
  own->renew();
  pass(60);
  EXPECT_EQ(serial(), before) << "the one that may be without stays";
  EXPECT_EQ(orders(), 2U) << "what was issued waits for its answer, and is not ordered again";
  EXPECT_NE(own->status()["last_error"].get<std::string>().find("RFC 7633"), std::string::npos);
  responding = true;
  pass(120);
  EXPECT_NE(serial(), before);
  EXPECT_TRUE(stapled());
  EXPECT_EQ(own->status()["must_staple"], true);
  EXPECT_EQ(own->status()["state"], "valid");
  EXPECT_EQ(orders(), 2U);
  responding = false;
  cluster.wall.advance(2 * 3600);
  pass(3);
  EXPECT_EQ(own->status()["state"], "withheld: no OCSP answer");
}

TEST_F(OwnCertificateTest, WithoutARequestersAccountItDoesNotStartAndSaysWhatToDo) {
  options.account_key = "/edge/missing.key";
  const auto ask_ocsp = [this](Executor&, std::string der) { return answer_ocsp(std::move(der)); };
  const auto opened = OwnCertificate::open(
      options, {disk, cluster.wall, cluster.clock, random(), cluster.executor, ask(), ask_ocsp, [] {}});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("openssl genpkey"), std::string::npos) << opened.error().message;
}

TEST_F(OwnCertificateTest, ChallengesOfTheAccountAreAnsweredForItsHostsAlone) {
  start();
  const auto& proof = validator.asked.front();
  const std::string path = "/.well-known/acme-challenge/" + proof.token;
  EXPECT_EQ(own->answer_to_challenge("edge.test", path), proof.key_authorization);
  EXPECT_EQ(own->answer_to_challenge("EDGE.test:8080", path), proof.key_authorization);
  EXPECT_EQ(own->answer_to_challenge("other.test", path), proof.key_authorization) << "another edge's name";
  EXPECT_FALSE(own->answer_to_challenge("evil.test", path));
  EXPECT_FALSE(own->answer_to_challenge("", path));
  EXPECT_FALSE(own->answer_to_challenge("[", path));
  EXPECT_FALSE(own->answer_to_challenge("edge.test", "/.well-known/acme-challenge/"));
  EXPECT_FALSE(own->answer_to_challenge("edge.test", "/.well-known/acme-challenge/a/b"));
  EXPECT_FALSE(own->answer_to_challenge("edge.test", "/other"));
}

}  // namespace
}  // namespace evercert::traffic
