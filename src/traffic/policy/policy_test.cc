// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "traffic/policy/endpoint_health.h"
#include "traffic/policy/retry.h"

namespace evercert::traffic {
namespace {

TEST(EndpointHealth, ChecksNeedTheirThresholdsInARow) {
  EndpointHealth health({2, 3});
  health.check_failed();
  health.check_passed();
  health.check_failed();
  EXPECT_TRUE(health.healthy());
  health.check_failed();
  EXPECT_FALSE(health.healthy());
  health.check_passed();
  health.check_passed();
  EXPECT_FALSE(health.healthy());
  health.check_passed();
  EXPECT_TRUE(health.healthy());
}

TEST(EndpointHealth, AFailedRequestTakesItOutAtOnceAndOneGoodCheckBringsItBack) {
  EndpointHealth health({2, 3});
  health.request_failed();
  EXPECT_FALSE(health.healthy());
  health.check_passed();
  EXPECT_TRUE(health.healthy());
  health.request_failed();
  health.check_failed();
  health.check_passed();
  EXPECT_FALSE(health.healthy()) << "a check has complained too: the full threshold applies";
}

TEST(RetryBudget, RunsOutAndRefillsWithRequestsAndTime) {
  RetryBudget budget(0.5, 1);
  const Instant now{1'000'000};
  EXPECT_TRUE(budget.take(now));
  EXPECT_FALSE(budget.take(now));
  budget.request();
  budget.request();
  EXPECT_TRUE(budget.take(now));
  EXPECT_FALSE(budget.take(now));
  EXPECT_TRUE(budget.take(now + 1s));
}

TEST(Retry, OnlyWhatIsSafeTwiceIsRepeatedWhenTheOutcomeIsUnknown) {
  EXPECT_TRUE(may_retry(Code::kUnavailable, "POST", "/v1/certificates", false));
  EXPECT_FALSE(may_retry(Code::kUnknownOutcome, "POST", "/v1/certificates", false));
  EXPECT_TRUE(may_retry(Code::kUnknownOutcome, "POST", "/v1/certificates", true));
  EXPECT_TRUE(may_retry(Code::kUnknownOutcome, "GET", "/v1/certificates", false));
  EXPECT_TRUE(may_retry(Code::kUnknownOutcome, "POST", "/ocsp", false));
  EXPECT_FALSE(may_retry(Code::kInvalid, "GET", "/", true));
}

}  // namespace
}  // namespace evercert::traffic
