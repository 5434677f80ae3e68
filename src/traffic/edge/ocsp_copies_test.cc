// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/ocsp_copies.h"

#include <gtest/gtest.h>

namespace evercert::traffic {
namespace {

const std::string kSerial("\x01serial", 7), kOther("\x02other", 6);
constexpr std::uint64_t kAllGroups = 0b1110;

net::v1::OcspStamp stamp_of(const std::string& serial, std::uint64_t number, std::uint64_t incarnation = 7) {
  net::v1::OcspStamp stamp;
  stamp.mutable_position()->set_incarnation(incarnation);
  stamp.mutable_position()->set_number(number);
  stamp.set_serial(serial);
  stamp.set_certificate_id("id of " + serial);
  stamp.set_renew_in_s(10);
  stamp.set_expires_in_s(20);
  return stamp;
}

net::v1::OcspNews news_of(std::uint64_t number, std::vector<std::string> changed = {}, std::uint64_t incarnation = 7) {
  net::v1::OcspNews news;
  news.mutable_position()->set_incarnation(incarnation);
  news.mutable_position()->set_number(number);
  for (auto& serial : changed) news.add_changed(serial);
  news.set_fresh_groups(kAllGroups);
  return news;
}

class Copies : public ::testing::Test {
 protected:
  void keep(const std::string& key, const std::string& serial, std::uint64_t number) {
    copies_.fetched(key, stamp_of(serial, number), std::make_shared<const std::string>("answer about " + serial), now_);
  }
  // One request for `key`, one check for it.
  bool confirmed(const std::string& key, const net::v1::OcspNews& news) {
    OcspWaiter waiter;
    waiter.copy = copies_.find(key, now_);
    if (waiter.copy == nullptr) return false;
    EXPECT_TRUE(copies_.join(waiter));
    copies_.leave();
    EXPECT_EQ(copies_.ended(&news, now_).size(), 1u);
    return waiter.confirmed;
  }
  Instant now_{1'000'000};
  OcspCopies copies_;
};

TEST_F(Copies, AnAnswerIsGivenOutAgainAfterACheck) {
  EXPECT_EQ(copies_.find("/ocsp/a", now_), nullptr);
  keep("/ocsp/a", kSerial, 3);
  EXPECT_TRUE(confirmed("/ocsp/a", news_of(3)));
  EXPECT_TRUE(confirmed("/ocsp/a", news_of(5, {kOther, kOther})));
}

TEST_F(Copies, AChangedCertificatesAnswerIsDropped) {
  keep("/ocsp/a", kSerial, 3);
  keep("/ocsp/b", kOther, 3);
  EXPECT_FALSE(confirmed("/ocsp/a", news_of(4, {kSerial})));
  EXPECT_EQ(copies_.find("/ocsp/a", now_), nullptr);
  EXPECT_TRUE(confirmed("/ocsp/b", news_of(4)));
}

TEST_F(Copies, WhatIsPendingOrNotFreshIsPassedOnButKept) {
  keep("/ocsp/a", kSerial, 3);
  auto news = news_of(3);
  news.add_pending(kSerial);
  EXPECT_FALSE(confirmed("/ocsp/a", news));
  news = news_of(3);
  news.set_fresh_groups(0b100);
  EXPECT_FALSE(confirmed("/ocsp/a", news));
  EXPECT_TRUE(confirmed("/ocsp/a", news_of(3)));
}

TEST_F(Copies, AnotherListOfChangesDropsEverything) {
  keep("/ocsp/a", kSerial, 3);
  EXPECT_FALSE(confirmed("/ocsp/a", news_of(3, {}, 8)));
  EXPECT_EQ(copies_.size(), 0u);
  keep("/ocsp/a", kSerial, 3);
  EXPECT_EQ(copies_.size(), 1u) << "with nothing kept, any node may begin";
  auto news = news_of(9);
  news.set_everything(true);
  EXPECT_FALSE(confirmed("/ocsp/a", news));
  EXPECT_EQ(copies_.bytes(), 0u);
}

TEST_F(Copies, WhoComesDuringACheckWaitsForTheNext) {
  keep("/ocsp/a", kSerial, 3);
  OcspWaiter first, second, third;
  first.copy = second.copy = third.copy = copies_.find("/ocsp/a", now_);
  EXPECT_TRUE(copies_.join(first));
  EXPECT_FALSE(copies_.join(second)) << "it shares the check that is about to leave";
  copies_.leave();
  EXPECT_FALSE(copies_.join(third));
  EXPECT_FALSE(copies_.wanted()) << "one at a time";
  const auto news = news_of(3);
  EXPECT_EQ(copies_.ended(&news, now_), (std::vector<OcspWaiter*>{&first, &second}));
  EXPECT_TRUE(copies_.wanted());
  copies_.leave();
  EXPECT_EQ(copies_.ended(nullptr, now_), (std::vector<OcspWaiter*>{&third}));
  EXPECT_FALSE(third.confirmed) << "nobody answered the check";
}

TEST_F(Copies, AnAnswerThatWasReadBeforeAKnownChangeIsNotKept) {
  keep("/ocsp/b", kOther, 3);
  EXPECT_TRUE(confirmed("/ocsp/b", news_of(5, {"\x01x", kSerial})));
  keep("/ocsp/a", kSerial, 4);
  EXPECT_EQ(copies_.find("/ocsp/a", now_), nullptr) << "change 5 was about it";
  keep("/ocsp/a", kSerial, 5);
  EXPECT_NE(copies_.find("/ocsp/a", now_), nullptr);
  keep("/ocsp/c", "\x01y", 2);
  EXPECT_EQ(copies_.find("/ocsp/c", now_), nullptr) << "what came after 2 is not known to the full";
}

TEST_F(Copies, TheSameQuestionInOtherWordsFindsTheSameCopy) {
  keep("/ocsp/a%2B", kSerial, 3);
  EXPECT_EQ(copies_.find("/ocsp/a%2b", now_), nullptr);
  EXPECT_NE(copies_.find_id("/ocsp/a%2b", "id of " + kSerial, now_), nullptr);
  EXPECT_EQ(copies_.find("/ocsp/a%2b", now_), copies_.find("/ocsp/a%2B", now_));
  for (int i = 0; i < 100; ++i) copies_.find_id("/ocsp/" + std::to_string(i), "id of " + kSerial, now_);
  EXPECT_EQ(copies_.find("/ocsp/a%2B", now_), nullptr) << "only a few ways of writing are remembered";
  EXPECT_LT(copies_.bytes(), 4000u);
}

TEST_F(Copies, ACopyIsNotUsedWhenItIsTimeToRenewIt) {
  keep("/ocsp/a", kSerial, 3);
  const auto copy = copies_.find("/ocsp/a", now_);
  EXPECT_EQ(copy->expires, now_ + 20s);
  now_ = now_ + 10s;
  EXPECT_EQ(copies_.find("/ocsp/a", now_), nullptr);
  keep("/ocsp/a", kSerial, 3);
  EXPECT_NE(copies_.find("/ocsp/a", now_), nullptr);
  EXPECT_EQ(copies_.size(), 1u);
}

TEST_F(Copies, MemoryIsBoundedAndTheOldestGoFirst) {
  copies_ = OcspCopies(100'000);
  for (int i = 0; i < 1000; ++i) keep("/ocsp/" + std::to_string(i), std::string("\x01") + std::to_string(i), 3);
  EXPECT_LE(copies_.bytes(), 100'000u);
  EXPECT_GT(copies_.size(), 50u);
  EXPECT_EQ(copies_.find("/ocsp/0", now_), nullptr);
  EXPECT_NE(copies_.find("/ocsp/999", now_), nullptr);
}

}  // namespace
}  // namespace evercert::traffic
