// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/staple.h"

#include <gtest/gtest.h>

#include "testkit/test_ca.h"

namespace evercert::traffic {
namespace {

using testkit::kTestNow;

class StapleTest : public testing::Test {
 protected:
  std::string answer(pki::CertStatus status, std::int64_t from, std::int64_t until) {
    const auto request =
        pki::parse_ocsp_request(pki::make_ocsp_request(subject.issuer_der, subject.serial).value()).value();
    return pki::make_ocsp_response({{request.ids.front(), status, kTestNow - 10, 1}}, from, until, std::nullopt,
                                   *responder.second, responder.first)
        .value();
  }

  testkit::TestCa cluster{2};
  const StapleSubject subject{"\x01\x02\x03", cluster.region(1).certificate_der};
  const std::pair<std::string, std::shared_ptr<pki::Signer>> responder = cluster.responder(cluster.region(1));
  const WallTime now{kTestNow * 1000};
};

TEST_F(StapleTest, AGoodAnswerIsTaken) {
  const auto staple = check_staple(answer(pki::CertStatus::kGood, kTestNow, kTestNow + 3600), subject, now);
  ASSERT_TRUE(staple) << staple.error().message;
  EXPECT_EQ(staple->next_update.seconds(), kTestNow + 3600);
}

TEST_F(StapleTest, WhatSaysSomethingElseIsNot) {
  const auto good = answer(pki::CertStatus::kGood, kTestNow, kTestNow + 3600);
  EXPECT_FALSE(check_staple("", subject, now));
  EXPECT_FALSE(check_staple(good.substr(0, 50), subject, now));
  EXPECT_FALSE(check_staple(std::string(20'000, 'x'), subject, now));
  EXPECT_FALSE(check_staple(good, {"\x01\x02\x04", subject.issuer_der}, now)) << "another certificate";
  EXPECT_FALSE(check_staple(good, {subject.serial, cluster.region(2).certificate_der}, now)) << "another issuer";
  EXPECT_FALSE(check_staple(good, subject, {(kTestNow + 3600) * 1000})) << "it has run out";
  EXPECT_FALSE(check_staple(good, subject, {(kTestNow - 3600) * 1000})) << "of the future";
  EXPECT_FALSE(check_staple(answer(pki::CertStatus::kUnknown, kTestNow, kTestNow + 3600), subject, now));
  EXPECT_FALSE(check_staple(pki::ocsp_error_response(pki::OcspError::kTryLater), subject, now));
  const auto revoked = check_staple(answer(pki::CertStatus::kRevoked, kTestNow, kTestNow + 3600), subject, now);
  ASSERT_FALSE(revoked);
  EXPECT_EQ(revoked.error().code, Code::kConflict);
}

TEST_F(StapleTest, TheNextOneIsFetchedHalfwayAndFailuresAreTriedAgainWithinAMinute) {
  StapleSchedule schedule;
  EXPECT_TRUE(schedule.due(now));
  schedule.fetched({"", {0}, {3600'000}}, 0.5);
  EXPECT_EQ(schedule.next().ms, 1620'000);
  EXPECT_EQ(schedule.end()->ms, 3600'000);
  for (int i = 0; i < 20; ++i) {
    schedule.failed({2000'000}, 0.5);
    if (i == 0) {
      EXPECT_EQ(schedule.next().ms, 2005'000);
    }
    EXPECT_LE(schedule.next().ms, 2060'000);
  }
  EXPECT_EQ(schedule.end()->ms, 3600'000) << "the one at hand stays";
  schedule.reset();
  EXPECT_TRUE(schedule.due({0}));
  EXPECT_FALSE(schedule.end());
}

}  // namespace
}  // namespace evercert::traffic
