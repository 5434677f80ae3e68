// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/backends.h"

#include <gtest/gtest.h>

namespace evercert::traffic {
namespace {

class BackendsTest : public ::testing::Test {
 protected:
  BackendsTest() {
    for (const char* node : {"n1", "n2"}) EXPECT_TRUE(backends_.add({{node, 1, true, node}, RegionId{1}}, false, {}));
    for (const char* edge : {"e1", "e2"}) EXPECT_TRUE(backends_.add({{edge, 1, true, edge}, RegionId{2}}, true, {}));
  }
  Backend& at(std::size_t i) { return *backends_.all()[i]; }
  std::string order(bool may_leave) {
    Backends::Tried tried;
    std::string out;
    while (const Backend* next = backends_.next(tried, may_leave)) out += next->endpoint.target.address + " ";
    return out;
  }
  Backends backends_;
};

TEST_F(BackendsTest, OwnNodesComeFirstAndEachOnce) {
  at(0).in_flight = 5;
  at(2).in_flight = 1;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(order(true), "n2 n1 e2 e1 ");
  EXPECT_EQ(order(false), "n2 n1 ");
}

TEST_F(BackendsTest, ThePreferredIsFirstWhileItIsWell) {
  at(0).in_flight = 5;
  Backends::Tried tried;
  EXPECT_EQ(backends_.next(tried, true, &at(0)), &at(0));
  EXPECT_EQ(backends_.next(tried, true, &at(0)), &at(1));
  at(0).request_failed();
  tried.reset();
  EXPECT_EQ(backends_.next(tried, true, &at(0)), &at(1));
}

TEST_F(BackendsTest, EquallyBusyOnesTakeTurns) {
  Backends::Tried one, two;
  const Backend* first = backends_.next(one, false);
  std::string seen = first->endpoint.target.address;
  for (int i = 0; i < 3; ++i) {
    Backends::Tried tried;
    seen += backends_.next(tried, false)->endpoint.target.address;
  }
  EXPECT_NE(seen.find("n1"), std::string::npos);
  EXPECT_NE(seen.find("n2"), std::string::npos);
}

TEST_F(BackendsTest, TheUnhealthyAreTriedLast) {
  at(0).request_failed();
  EXPECT_TRUE(order(true).starts_with("n2 e"));
  EXPECT_TRUE(order(true).ends_with("n1 "));
  EXPECT_TRUE(backends_.any_node_healthy());
  at(1).request_failed();
  EXPECT_FALSE(backends_.any_node_healthy());
  at(1).checked(true);
  EXPECT_TRUE(backends_.any_node_healthy());
}

TEST_F(BackendsTest, AfterARefusalTheUnhealthyAreNotWaitedFor) {
  for (const int out : {0, 2, 3}) at(static_cast<std::size_t>(out)).request_failed();
  Backends::Tried tried;
  EXPECT_EQ(backends_.next(tried, true), &at(1));
  Backends::Tried refused = tried;
  EXPECT_EQ(backends_.next(refused, true, nullptr, true), nullptr);
  EXPECT_EQ(backends_.next(tried, true, nullptr, false), &at(0)) << "without an answer they are all that is left";
  at(3).checked(true);
  EXPECT_EQ(backends_.next(refused, true, nullptr, true), &at(3));
}

TEST_F(BackendsTest, NodesKnowTheirPlaceAmongLinks) {
  EXPECT_EQ(at(0).link, 0u);
  EXPECT_EQ(at(1).link, 1u);
}

TEST_F(BackendsTest, MoreThanCanBeTriedAreRefusedAtTheStart) {
  for (std::size_t i = backends_.all().size(); i < Backends::kMost; ++i)
    ASSERT_TRUE(backends_.add({{"x", 1, true, "x"}, RegionId{3}}, true, {}));
  EXPECT_FALSE(backends_.add({{"x", 1, true, "x"}, RegionId{3}}, true, {}));
}

}  // namespace
}  // namespace evercert::traffic
