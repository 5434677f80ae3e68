// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/succession.h"

#include <gtest/gtest.h>

namespace evercert::recovery {
namespace {

TEST(Succession, TheNodesOfARegionThatNobodyHearsArePassedOverAndNoOthers) {
  const std::vector<Contender> all{{"us-east-1/1", 7}, {"us-east-12/1", 8}, {"us-west-2/1", 9}, {"us-east-1/2", 10}};
  EXPECT_TRUE(passed_over(all, {}).empty());
  const auto over = passed_over(all, {"us-east-1"});
  ASSERT_EQ(over.size(), 2u);
  EXPECT_EQ(over[0].lease, 7);
  EXPECT_EQ(over[1].lease, 10);
  EXPECT_TRUE(passed_over({{"", 1}, {"nobody", 2}}, {"us-east-1"}).empty()) << "a name that is none";
  EXPECT_TRUE(passed_over({{"us-east-1/1", 0}}, {"us-east-1"}).empty()) << "no lease to end";
}

}  // namespace
}  // namespace evercert::recovery
