// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/backends.h"

#include <gtest/gtest.h>

#include "traffic/edge/forwarding.h"

namespace evercert::traffic {
namespace {

class Hands : public MonotonicClock {
 public:
  Instant now() const override { return now_; }
  Instant now_{1'000'000'000};
};

class BackendsTest : public ::testing::Test {
 protected:
  BackendsTest() {
    for (const char* node : {"n1", "n2"}) EXPECT_TRUE(backends_.add({{node, 1, true, node}, RegionId{1}}, false));
    for (const char* edge : {"e1", "e2"}) EXPECT_TRUE(backends_.add({{edge, 1, true, edge}, RegionId{2}}, true));
  }
  // Who is asked, one after the other, each failing.
  std::string order(bool may_leave, bool refused = false, Outcome outcome = Outcome::kDeclined) {
    Backends::Tried tried;
    std::string out;
    for (;;) {
      const auto attempt = backends_.begin(tried, {.may_leave_region = may_leave, .refused = refused});
      if (!attempt) return out;
      out += backends_[attempt->endpoint].endpoint.target.address + " ";
      backends_.finished(*attempt, outcome);
    }
  }
  Hands clock_;
  Backends backends_{{}, clock_, 7};
};

TEST_F(BackendsTest, OwnNodesComeFirstAndEachOnce) {
  for (int i = 0; i < 20; ++i) {
    const std::string all = order(true), own = order(false);
    EXPECT_TRUE(all.starts_with("n1 n2 e") || all.starts_with("n2 n1 e")) << all;
    EXPECT_EQ(all.size(), 12u) << all;
    EXPECT_EQ(own.size(), 6u) << own;
  }
}

TEST_F(BackendsTest, AfterARefusalTheDeadAreNotWaitedFor) {
  for (const std::size_t out : {0u, 2u, 3u}) backends_.unreachable(out);
  EXPECT_EQ(order(true, true), "n2 ");
  EXPECT_EQ(order(true).size(), 12u) << "without an answer they are all that is left";
}

TEST_F(BackendsTest, RepetitionsStopWhenTheirBudgetIsUsedUp) {
  int begun = 0;
  for (int i = 0; i < 100; ++i) {
    Backends::Tried tried;
    const auto attempt = backends_.begin(tried, {.repeats = true});
    if (!attempt) {
      EXPECT_EQ(attempt.error().code, Code::kDenied);
      EXPECT_TRUE(tried.none()) << "nobody was asked";
      continue;
    }
    ++begun;
    backends_.finished(*attempt, Outcome::kAnswered);
  }
  EXPECT_EQ(begun, 10) << "the floor of one second";
}

TEST_F(BackendsTest, ANodeDrainsUntilBothWhoSaidSoTakeItBack) {
  using enum Backends::Drained;
  backends_.set_draining(0, kByOperator, true);
  EXPECT_TRUE(order(false).starts_with("n2"));
  backends_.set_draining(0, kByItself, true);
  backends_.set_draining(0, kByOperator, false);
  EXPECT_TRUE(order(false).starts_with("n2"));
  EXPECT_EQ(backends_.healthy_node(), 1u);
  backends_.set_draining(0, kByItself, false);
  EXPECT_EQ(backends_.healthy_node(), 0u);
}

TEST_F(BackendsTest, NodesKnowTheirPlaceAmongLinks) {
  EXPECT_EQ(backends_[0].link, 0u);
  EXPECT_EQ(backends_[1].link, 1u);
}

TEST_F(BackendsTest, ARegionIsUnreadyWhenNoNodeOfItIsWell) {
  backends_.unreachable(0);
  EXPECT_TRUE(backends_.any_node_healthy());
  backends_.unreachable(1);
  EXPECT_FALSE(backends_.any_node_healthy()) << "edges of others are no nodes";
  backends_.checked(1, true);
  EXPECT_TRUE(backends_.any_node_healthy());
}

TEST(OutcomeOf, A503IsBusynessOnlyWhenItGivesNoOtherReason) {
  net::HttpResponse response = net::problem(503, "Service Unavailable", "");
  EXPECT_EQ(outcome_of(response, false), Outcome::kBusy);
  const auto with = [&](std::string_view header) {
    net::HttpResponse other = response;
    other.headers.set(header, "yes");
    return outcome_of(other, false);
  };
  EXPECT_EQ(with(kElsewhere), Outcome::kAnswered);
  EXPECT_EQ(with(kMayQueue), Outcome::kDeclined) << "no majority is no load";
  EXPECT_EQ(with(kMode), Outcome::kDeclined);
  EXPECT_EQ(with(kDraining), Outcome::kDeclined);
}

TEST(OutcomeOf, TheRestIsByWhoseFaultItIs) {
  const auto status = [](int code) { return outcome_of(net::problem(code, "", ""), false); };
  EXPECT_EQ(status(200), Outcome::kAnswered);
  EXPECT_EQ(status(404), Outcome::kAnswered);
  EXPECT_EQ(status(429), Outcome::kAnswered);
  EXPECT_EQ(status(500), Outcome::kFailed);
  EXPECT_EQ(status(504), Outcome::kFailed);
  const auto error = [](Code code, bool all_time = false) { return outcome_of(fail(code, ""), all_time); };
  EXPECT_EQ(error(Code::kUnavailable), Outcome::kUnreachable);
  EXPECT_EQ(error(Code::kUnknownOutcome), Outcome::kUnreachable) << "the connection broke";
  EXPECT_EQ(error(Code::kUnknownOutcome, true), Outcome::kTimedOut);
  EXPECT_EQ(error(Code::kInvalid), Outcome::kDeclined) << "too large a request says nothing about the node";
}

}  // namespace
}  // namespace evercert::traffic
