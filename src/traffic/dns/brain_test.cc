// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/brain.h"

#include <gtest/gtest.h>

#include "traffic/dns/check_plan.h"

namespace evercert::traffic::dns {
namespace {

RegionFacts region(const std::string& name, int edges) {
  RegionFacts facts;
  facts.name = name;
  facts.endpoint = name + ".api.test.";
  for (int e = 0; e < edges; ++e) facts.edges.push_back({{*parse_address("192.0.2." + std::to_string(e + 1))}, 443});
  return facts;
}

class BrainTest : public ::testing::Test {
 protected:
  BrainTest() : brain_({region("a", 1), region("b", 1), region("c", 4)}, Policy::kWeightedLatency, {}, now_) {}

  std::string check(std::size_t region, std::size_t edge, bool passed, int times = 1) {
    std::string said;
    for (int i = 0; i < times; ++i) {
      for (const auto& event : brain_.checked(region, edge, {passed, 10ms, passed ? "" : "refused"}, now_))
        said += event.text + "\n";
    }
    return said;
  }
  std::string all_of(std::size_t region, bool passed, int times) {
    std::string said;
    for (std::size_t e = 0; e < brain_.view()->facts()[region].edges.size(); ++e)
      said += check(region, e, passed, times);
    return said;
  }
  bool in(std::size_t region) const { return brain_.view()->states()[region].in; }

  Instant now_{1'000'000};
  Brain brain_;
};

TEST_F(BrainTest, ARegionIsOutAtOnceWhenItsThresholdIsReachedAndTheLogSaysWhy) {
  EXPECT_EQ(check(0, 0, false), "");
  EXPECT_TRUE(in(0));
  const auto before = brain_.view();
  const std::string said = check(0, 0, false);
  EXPECT_FALSE(in(0));
  EXPECT_TRUE(before->states()[0].in) << "who holds a view keeps it";
  EXPECT_GT(brain_.view()->generation(), before->generation());
  EXPECT_NE(said.find("region=a out: 1 of 1 edges unhealthy, the threshold is 50 % (a/1: refused)"), std::string::npos)
      << said;
  EXPECT_NE(said.find("answers lead to b, c"), std::string::npos) << said;
}

TEST_F(BrainTest, TheFailoverThresholdIsAShareOfTheRegionsEdges) {
  check(2, 0, false, 2);
  EXPECT_TRUE(in(2));
  EXPECT_FALSE(brain_.view()->states()[2].serving[0]) << "the edge alone is left out";
  check(2, 3, false, 2);
  EXPECT_FALSE(in(2)) << "50 % of them are unhealthy";
}

TEST_F(BrainTest, AtTheStartGoodChecksInARowAreEnough) {
  check(0, 0, false, 2);
  check(0, 0, true, 2);
  EXPECT_FALSE(in(0));
  check(0, 0, false);
  check(0, 0, true, 2);
  EXPECT_FALSE(in(0));
  check(0, 0, true);
  EXPECT_TRUE(in(0)) << "nobody has seen it well before: that it was out says nothing of how steady it is";
}

TEST_F(BrainTest, ARegionComesBackWhenItHasBeenWellForThirtySecondsWithoutABreak) {
  check(0, 0, true);
  check(0, 0, false, 2);
  EXPECT_FALSE(in(0)) << "out is immediate";
  EXPECT_TRUE(brain_.watched_closely(0));
  now_ = now_ + 600s;
  EXPECT_NE(check(0, 0, true, 3).find("region=a healthy, and back when it has been for 30 s more"), std::string::npos);
  now_ = now_ + 20s;
  check(0, 0, false);  // one: the edge stays healthy
  check(0, 0, true);
  now_ = now_ + 29s;
  check(0, 0, true);
  EXPECT_FALSE(in(0));
  now_ = now_ + 1s;
  brain_.tick(now_);
  EXPECT_FALSE(in(0)) << "the check that is under way may fail";
  check(0, 0, true);
  EXPECT_TRUE(in(0));
  EXPECT_FALSE(brain_.watched_closely(0));
}

TEST_F(BrainTest, WhatDoesNotLastWaitsTwiceAsLongTheNextTime) {
  check(0, 0, true);
  for (const Duration wait : {30s, 60s, 120s, 240s, 300s, 300s}) {
    check(0, 0, false, 2);
    ASSERT_FALSE(in(0));
    check(0, 0, true, 3);
    now_ = now_ + wait - 1s;
    check(0, 0, true);
    EXPECT_FALSE(in(0)) << wait.count();
    now_ = now_ + 1s;
    check(0, 0, true);
    EXPECT_TRUE(in(0)) << wait.count();
    now_ = now_ + 60s;
  }
  now_ = now_ + 3600s;
  check(0, 0, false, 2);
  check(0, 0, true, 3);
  now_ = now_ + 30s;
  check(0, 0, true);
  EXPECT_TRUE(in(0)) << "the last time has lasted";
}

TEST_F(BrainTest, WhenAllLookOutTheAnswersFromBeforeStayAllOfThem) {
  now_ = now_ + 60s;
  check(0, 0, false, 2);
  now_ = now_ + 4s;
  check(1, 0, false, 2);
  EXPECT_FALSE(in(0) || in(1));
  now_ = now_ + 4s;
  const std::string said = all_of(2, false, 2);
  EXPECT_NE(said.find("every region looks out"), std::string::npos) << said;
  EXPECT_TRUE(brain_.view()->blind());
  for (std::size_t r = 0; r < 3; ++r) EXPECT_TRUE(in(r)) << r;
  EXPECT_EQ(brain_.view()->serving_edges(2).size(), 4u);
  const auto generation = brain_.view()->generation();
  now_ = now_ + 3600s;
  all_of(2, false, 10);
  EXPECT_EQ(brain_.view()->generation(), generation) << "for as long as it lasts";
  const std::string back = check(1, 0, true, 3);
  EXPECT_NE(back.find("seen again"), std::string::npos) << back;
  EXPECT_FALSE(brain_.view()->blind());
  EXPECT_TRUE(in(0) && in(1) && in(2)) << "until somebody has looked";
  EXPECT_EQ(brain_.view()->serving_edges(0).size(), 1u);
  EXPECT_TRUE(brain_.watched_closely(0));
  now_ = now_ + 1s;
  brain_.checked(0, 0, {false, 2s, "it began before that"}, now_);
  EXPECT_TRUE(in(0));
  brain_.checked(0, 0, {false, 10ms, "refused"}, now_);
  EXPECT_FALSE(in(0)) << "the first check that began since says that it is dead";
  for (int i = 0; i < 3; ++i) {
    for (std::size_t e = 0; e < 4; ++e) check(2, e, true);
  }
  now_ = now_ + 60s;
  brain_.tick(now_);
  EXPECT_TRUE(in(1) && in(2));
  EXPECT_FALSE(in(0));
}

TEST_F(BrainTest, WhatNobodyLooksAtAfterBlindnessIsOutAfterTheMemory) {
  for (std::size_t r = 0; r < 3; ++r) all_of(r, false, 2);
  ASSERT_TRUE(brain_.view()->blind());
  check(1, 0, true, 3);
  now_ = now_ + 10s;
  brain_.tick(now_);
  EXPECT_TRUE(in(0));
  now_ = now_ + 1s;
  brain_.tick(now_);
  EXPECT_FALSE(in(0) || in(2));
  check(1, 0, false, 2);
  ASSERT_TRUE(brain_.view()->blind()) << "and blindness may come again at once";
  EXPECT_TRUE(in(0) && in(1) && in(2)) << "clients were led to all of them a moment ago";
}

TEST_F(BrainTest, ARegionThatHadJustComeBackIsAmongTheAnswersThatStay) {
  check(0, 0, false, 2);
  now_ = now_ + 60s;
  check(0, 0, true, 3);
  ASSERT_TRUE(in(0));
  now_ = now_ + 1s;
  check(1, 0, false, 2);
  check(0, 0, false, 2);
  all_of(2, false, 2);
  ASSERT_TRUE(brain_.view()->blind());
  EXPECT_TRUE(in(0) && in(1) && in(2));
}

TEST_F(BrainTest, ARegionThatWasDeadLongBeforeIsNotAmongTheAnswersThatStay) {
  now_ = now_ + 60s;
  check(0, 0, false, 2);
  now_ = now_ + 60s;
  check(1, 0, false, 2);
  all_of(2, false, 2);
  ASSERT_TRUE(brain_.view()->blind());
  EXPECT_FALSE(in(0));
  EXPECT_TRUE(in(1) && in(2));
}

TEST_F(BrainTest, TheOnlyRegionThatIsWellIsNotKeptOutForFlapping) {
  for (std::size_t r = 0; r < 3; ++r) all_of(r, true, 1);
  all_of(2, false, 2);
  now_ = now_ + 60s;
  check(1, 0, false, 2);
  now_ = now_ + 60s;
  check(0, 0, false, 2);
  ASSERT_TRUE(brain_.view()->blind());
  now_ = now_ + 1s;
  check(0, 0, true, 3);
  EXPECT_FALSE(brain_.view()->blind());
  EXPECT_TRUE(in(0));
  EXPECT_FALSE(in(1) || in(2));
}

TEST_F(BrainTest, LatencyChangesAnswersSeldomAndOnlyWhenItHasMovedMuch) {
  for (int i = 0; i < 10; ++i) {
    now_ = now_ + 5s;
    brain_.checked(0, 0, {true, 20ms, ""}, now_);
  }
  const auto settled = brain_.view()->generation();
  for (int i = 0; i < 200; ++i) {
    now_ = now_ + 5s;
    brain_.checked(0, 0, {true, i % 2 == 0 ? 18ms : 23ms, ""}, now_);
  }
  EXPECT_EQ(brain_.view()->generation(), settled) << "noise";
  for (int i = 0; i < 200; ++i) {
    now_ = now_ + 1s;
    brain_.checked(0, 0, {true, i / 10 % 2 == 0 ? 900ms : 9ms, ""}, now_);
  }
  EXPECT_LE(brain_.view()->generation(), settled + 8) << "at most once in thirty seconds";
  EXPECT_GT(brain_.view()->generation(), settled);
}

// The whole of the promise: from an edge's last good check to other answers, with the checks' own times.
TEST(BrainTime, AnOutageChangesAnswersWithinTheDetectionTime) {
  const CheckPlan plan = plan_checks({});
  for (const Duration refused_after : {Duration{1ms}, plan.timeout}) {
    Instant now{5'000'000};
    Brain brain({region("a", 1), region("b", 1)}, Policy::kWeightedLatency, {}, now);
    brain.checked(0, 0, {true, 10ms, ""}, now);
    const Instant died = now;  // just after
    now = now + plan.interval + refused_after;
    while (brain.view()->states()[0].in) {
      brain.checked(0, 0, {false, refused_after, "dead"}, now);
      if (brain.view()->states()[0].in) now = now + plan.recheck + refused_after;
      ASSERT_LT(now - died, 60s);
    }
    EXPECT_LE(now - died, 10s);
  }
}

TEST_F(BrainTest, ASpareEdgeIsMissedByNobodyAndIsUsedWhenItIsThere) {
  auto facts = region("a", 2);
  facts.edges[1].spare = true;
  Brain brain({facts, region("b", 1)}, Policy::kWeightedLatency, {}, now_);
  EXPECT_EQ(brain.view()->serving_edges(0), std::vector<std::size_t>{0}) << "until checks have found it";
  for (int i = 0; i < 5; ++i) brain.checked(0, 1, {false, 10ms, "refused"}, now_);
  EXPECT_TRUE(brain.view()->states()[0].in) << "one of two edges, and the threshold is a half";
  for (int i = 0; i < 5; ++i) brain.checked(0, 1, {true, 10ms, ""}, now_);
  EXPECT_EQ(brain.view()->serving_edges(0), (std::vector<std::size_t>{0, 1}));
  for (int i = 0; i < 5; ++i) brain.checked(0, 1, {false, 10ms, "refused"}, now_);
  for (int i = 0; i < 5; ++i) brain.checked(0, 0, {false, 10ms, "refused"}, now_);
  EXPECT_FALSE(brain.view()->states()[0].in) << "with its own edge gone the region is out";
}

TEST_F(BrainTest, SharesAreToldOnceAndChangeTheView) {
  const auto before = brain_.view()->generation();
  EXPECT_FALSE(brain_.set_shares({100, 100, 0}, "F-1", now_).empty());
  EXPECT_GT(brain_.view()->generation(), before);
  EXPECT_TRUE(brain_.set_shares({100, 100, 0}, "F-1", now_).empty());
  EXPECT_FALSE(brain_.view()->leads_to(2));
  check(0, 0, false, 2);
  check(1, 0, false, 2);
  EXPECT_TRUE(brain_.view()->leads_to(2)) << "shares only narrow what the checks leave";
}

TEST_F(BrainTest, AShareOfNothingEndsAtOnceUnlessChecksHaveFailedMeanwhile) {
  std::string said;
  const auto share = [&](int percent) {
    for (const auto& event : brain_.set_shares({100, 100, percent}, "F-1", now_)) said += event.text + "\n";
  };
  const auto wait = [&](Duration how_long) {
    for (const Instant until = now_ + how_long; now_ < until; now_ = now_ + 500ms) said += all_of(2, true, 1);
  };
  share(0);
  EXPECT_TRUE(brain_.watched_closely(2)) << "or breaks go unseen";
  wait(1s);
  share(100);
  EXPECT_TRUE(brain_.view()->leads_to(2)) << "drained by somebody, and well all the time";

  wait(300s);
  share(0);
  all_of(2, false, 1);
  share(5);
  EXPECT_FALSE(brain_.view()->leads_to(2));
  wait(29s);
  EXPECT_NE(said.find("region=c share stays 0 % until it has been well for 30 s more"), std::string::npos) << said;
  EXPECT_TRUE(in(2));
  EXPECT_FALSE(brain_.view()->leads_to(2));
  all_of(2, false, 1);
  wait(29s);
  EXPECT_FALSE(brain_.view()->leads_to(2)) << "one failed check begins the while anew";
  wait(2s);
  EXPECT_TRUE(brain_.view()->leads_to(2)) << said;
  EXPECT_NE(said.find("region=c share 0 % -> 5 %: F-1"), std::string::npos) << said;
  share(100);
  EXPECT_EQ(brain_.view()->states()[2].share, 100) << "at once";
}

}  // namespace
}  // namespace evercert::traffic::dns
