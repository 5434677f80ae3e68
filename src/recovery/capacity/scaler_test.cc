// SPDX-License-Identifier: Apache-2.0
#include "recovery/capacity/scaler.h"

#include <gtest/gtest.h>

#include <map>

namespace evercert::recovery {
namespace {

class FakeDriver : public CapacityDriver {
 public:
  std::vector<Worker> list() override {
    std::vector<Worker> all;
    for (const auto& [name, running] : workers) all.push_back({name, running});
    return all;
  }
  Status start(const std::string& name) override {
    ++starts;
    if (refuses) return fail(Code::kIo, "no room");
    workers[name] = !dies;
    return {};
  }
  Status stop(const std::string& name) override {
    workers[name] = false;
    return {};
  }
  int running() const {
    int count = 0;
    for (const auto& [name, runs] : workers) count += runs ? 1 : 0;
    return count;
  }
  std::map<std::string, bool> workers{{"a", false}, {"b", false}, {"c", false}};
  bool dies = false, refuses = false;
  int starts = 0;
};

Instant second(int s) { return Instant{s * std::int64_t{1'000'000}}; }

TEST(Scaler, RunsAsManyAsAreWantedAndNoMoreThanThereAre) {
  FakeDriver driver;
  Scaler scaler(driver);
  EXPECT_EQ(*scaler.want(2, 5, second(0)), 2);
  scaler.review(second(0));
  EXPECT_EQ(driver.running(), 2);
  EXPECT_EQ(*scaler.want(100, 5, second(1)), 3);
  scaler.review(second(1));
  EXPECT_EQ(driver.running(), 3);
  scaler.review(second(2));
  EXPECT_EQ(driver.starts, 3) << "what runs is not started again";
  EXPECT_EQ(scaler.running(), 3);
  EXPECT_EQ(scaler.spare(second(2)), 0);
}

TEST(Scaler, ANewControllerStandsByWhatWasWantedWithoutChangingIt) {
  FakeDriver driver;
  Scaler scaler(driver);
  EXPECT_EQ(scaler.affirm(5).error().code, Code::kNotFound);
  ASSERT_TRUE(scaler.want(2, 5, second(0)));
  ASSERT_EQ(*scaler.affirm(7), 2);
  EXPECT_EQ(scaler.token(), 7);
  EXPECT_EQ(scaler.want(0, 5, second(1)).error().code, Code::kConflict) << "the late word of the old one";
  EXPECT_EQ(scaler.affirm(6).error().code, Code::kConflict);
  ASSERT_TRUE(scaler.want(0, 7, second(2)));
  EXPECT_EQ(*scaler.affirm(7), 0) << "what comes late after it starts nothing again";
  EXPECT_EQ(scaler.wanted(), 0);
}

TEST(Scaler, AControllerThatWasReplacedIsRefused) {
  FakeDriver driver;
  Scaler scaler(driver);
  ASSERT_TRUE(scaler.want(1, 7, second(0)));
  const auto old = scaler.want(0, 6, second(1));
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code, Code::kConflict);
  EXPECT_EQ(scaler.wanted(), 1);
}

TEST(Scaler, AfterWorkersWereLetGoNoneAreStartedForAWhile) {
  FakeDriver driver;
  Scaler scaler(driver);
  ASSERT_TRUE(scaler.want(2, 1, second(0)));
  scaler.review(second(0));
  ASSERT_TRUE(scaler.want(0, 1, second(10)));
  scaler.review(second(10));
  EXPECT_EQ(driver.running(), 0);
  scaler.review(second(11));
  EXPECT_EQ(scaler.spare(second(30)), 0) << "and nobody is told that there are any";
  EXPECT_FALSE(scaler.want(2, 1, second(30)));
  EXPECT_EQ(scaler.spare(second(71)), 3);
  EXPECT_TRUE(scaler.want(2, 1, second(71)));
}

TEST(Scaler, WhatEndsAtOnceIsStartedLessAndLessOften) {
  FakeDriver driver;
  driver.dies = true;
  Scaler scaler(driver);
  ASSERT_TRUE(scaler.want(1, 1, second(0)));
  for (int s = 0; s < 600; ++s) scaler.review(second(s));
  EXPECT_GE(driver.starts, 8);
  EXPECT_LE(driver.starts, 12);
  driver.dies = false;
  for (int s = 600; s < 1200; ++s) scaler.review(second(s));
  EXPECT_EQ(driver.running(), 1) << "and it is not given up";
}

TEST(Scaler, AStartThatFailsIsToldAndTriedAgainLater) {
  FakeDriver driver;
  driver.refuses = true;
  Scaler scaler(driver);
  ASSERT_TRUE(scaler.want(1, 1, second(0)));
  EXPECT_EQ(scaler.review(second(0)), std::vector<std::string>{"a: no room"});
  for (int s = 1; s < 60; ++s) scaler.review(second(s));
  EXPECT_LE(driver.starts, 8);
}

}  // namespace
}  // namespace evercert::recovery
