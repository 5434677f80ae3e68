// SPDX-License-Identifier: Apache-2.0
#include "health/component.h"

#include <gtest/gtest.h>

namespace evercert::health {
namespace {

// The specification's: API endpoints every 5 s, 2 s time-out.
struct Checked {
  Component component{"api", {5s, 2s, 2, 3}, Instant{0}};
  Instant now{0};

  void check(bool passes, Duration took = 10ms, const char* why = "connection refused") {
    while (!component.due(now)) now = now + 100ms;
    component.began(now);
    now = now + took;
    component.ended({passes, {}, passes ? "" : why}, now);
  }
};

TEST(Component, NothingIsSaidBeforeTheFirstCheckHasEnded) {
  Checked c;
  EXPECT_FALSE(c.component.known());
  EXPECT_TRUE(c.component.due(c.now)) << "the first check is at once";
  c.check(true);
  EXPECT_TRUE(c.component.known());
  EXPECT_EQ(c.component.score().points, 100);
}

TEST(Component, IsOutAfterTwoFailuresAndBackAfterThreePasses) {
  Checked c;
  c.check(true);
  c.check(false);
  EXPECT_FALSE(c.component.out());
  EXPECT_EQ(c.component.score().to_text(), "50: api failed once (connection refused)");
  c.check(false);
  EXPECT_TRUE(c.component.out());
  EXPECT_EQ(c.component.score().to_text(), "0: api down (connection refused)");
  c.check(true);
  c.check(true);
  EXPECT_TRUE(c.component.out());
  EXPECT_GT(c.component.score().points, 0) << "it is on its way back";
  EXPECT_LT(c.component.score().points, 100);
  c.check(true);
  EXPECT_FALSE(c.component.out());
  EXPECT_EQ(c.component.score().points, 100);
}

TEST(Component, AFailureBetweenPassesBeginsTheCountAnew) {
  Checked c;
  for (const bool passes : {false, false, true, true, false, true, true}) c.check(passes);
  EXPECT_TRUE(c.component.out());
  c.check(true);
  EXPECT_FALSE(c.component.out());
}

TEST(Component, IsCheckedAtItsIntervalWhenWellAndSoonerWhileItIsUnsure) {
  Checked c;
  c.check(true);
  EXPECT_EQ(c.component.next_event() - c.now, 5s);
  c.check(false);
  EXPECT_EQ(c.component.next_event() - c.now, 1s);
}

TEST(Component, WhatDoesNotAnswerInTimeHasFailedAndItsLateEndIsIgnored) {
  Checked c;
  c.component.began(c.now);
  EXPECT_FALSE(c.component.due(c.now)) << "one at a time";
  EXPECT_EQ(c.component.next_event(), c.now + 2s);
  EXPECT_FALSE(c.component.expire(c.now + 2s));
  EXPECT_TRUE(c.component.expire(c.now + 2001ms));
  EXPECT_EQ(c.component.score().to_text(), "50: api failed once (no answer within 2000 ms)");
  c.component.ended({true, {}, ""}, c.now + 3s);
  EXPECT_EQ(c.component.score().points, 50);
}

TEST(Component, ASlowPassCostsPointsAndKeepsHalf) {
  Checked c;
  c.check(true, 900ms);
  EXPECT_EQ(c.component.score().points, 100);
  c.check(true, 1500ms);
  EXPECT_EQ(c.component.score().to_text(), "75: api slow, 1500 ms");
  c.check(true, 2000ms);
  EXPECT_EQ(c.component.score().points, 50);
  c.check(true, 2001ms);
  EXPECT_EQ(c.component.score().reasons.front().text, "api failed once (no answer within 2000 ms)");
}

}  // namespace
}  // namespace evercert::health
