// SPDX-License-Identifier: Apache-2.0
#include "store/quorum_watch.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

constexpr Instant kStart{1'000'000};
constexpr GroupId kOne{1}, kTwo{2};

TEST(QuorumWatch, AGroupIsGivenUpOnlyAfterTheWholeTimeWithoutALeader) {
  QuorumWatch watch(3, 5s, kStart);
  EXPECT_FALSE(watch.lost_since(kOne, kStart + 5s - 1us));
  EXPECT_EQ(watch.lost_since(kOne, kStart + 5s), kStart);
}

TEST(QuorumWatch, ALeaderEndsItAtOnceAndForItsGroupAlone) {
  QuorumWatch watch(3, 5s, kStart);
  watch.saw(kOne, true, kStart + 7s);
  watch.saw(kTwo, false, kStart + 7s);
  EXPECT_FALSE(watch.lost_since(kOne, kStart + 7s));
  EXPECT_EQ(watch.lost_since(kTwo, kStart + 7s), kStart);
  watch.saw(kOne, false, kStart + 8s);
  EXPECT_EQ(watch.lost_since(kOne, kStart + 12s), kStart + 7s);
}

}  // namespace
}  // namespace evercert::store
