// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/check_plan.h"

#include <gtest/gtest.h>

namespace evercert::traffic::dns {
namespace {

Duration longest_detection(const CheckSettings& settings) {
  const CheckPlan plan = plan_checks(settings);
  return plan.interval + settings.unhealthy_threshold * plan.timeout +
         (settings.unhealthy_threshold - 1) * plan.recheck;
}

TEST(CheckPlan, TheSpecificationsDocumentIsObeyedAsItStands) {
  const CheckPlan plan = plan_checks({});
  EXPECT_EQ(plan.interval, 5s);
  EXPECT_EQ(plan.timeout, 2s);
  EXPECT_EQ(plan.recheck, 500ms);
  EXPECT_FALSE(plan.shortened);
  EXPECT_EQ(longest_detection({}), 9500ms);
}

TEST(CheckPlan, TheDetectionTimeHoldsWhateverElseTheDocumentSays) {
  for (const int detection : {1, 2, 5, 10, 60}) {
    for (const int interval : {1, 5, 30, 3600}) {
      for (const int timeout : {1, 2, 20}) {
        for (const int threshold : {1, 2, 5, 100}) {
          if (timeout > interval) continue;
          const CheckSettings settings{std::chrono::seconds(interval), std::chrono::seconds(timeout), threshold,
                                       std::chrono::seconds(detection)};
          const CheckPlan plan = plan_checks(settings);
          EXPECT_LE(longest_detection(settings), settings.detection_time);
          EXPECT_GT(plan.interval, 0us);
          EXPECT_GT(plan.timeout, 0us);
          EXPECT_GE(plan.recheck, 0us);
          EXPECT_LE(plan.interval, settings.interval);
          EXPECT_LE(plan.timeout, settings.timeout);
        }
      }
    }
  }
}

TEST(CheckPlan, WhatFitsIsNotShortened) {
  const CheckPlan plan = plan_checks({2s, 1s, 3, 30s});
  EXPECT_FALSE(plan.shortened);
  EXPECT_EQ(plan.interval, 2s);
  EXPECT_EQ(plan.recheck, 2s) << "never slower than the checks of what is well";
}

}  // namespace
}  // namespace evercert::traffic::dns
