// SPDX-License-Identifier: Apache-2.0
#include "base/probe.h"

#include <gtest/gtest.h>

namespace evercert {
namespace {

void pass(bool rare) {
  if (rare) EC_PROBE("a rare branch of the test");
  if (rare) EC_PROBE("another one");
}

TEST(Probe, ABranchIsKnownBeforeItIsPassedAndCountedWhenItIs) {
  ASSERT_TRUE(Probe::counts().contains("a rare branch of the test"));
  EXPECT_EQ(Probe::counts().at("a rare branch of the test"), 0u);
  pass(false);
  EXPECT_EQ(Probe::counts().at("a rare branch of the test"), 0u);
  pass(true);
  pass(true);
  EXPECT_EQ(Probe::counts().at("a rare branch of the test"), 2u);
  EXPECT_EQ(Probe::counts().at("another one"), 2u);
}

}  // namespace
}  // namespace evercert
