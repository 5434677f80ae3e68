// SPDX-License-Identifier: Apache-2.0
#include "store/clock_watch.h"

#include <gtest/gtest.h>

namespace evercert::store {
namespace {

constexpr NodeId kB{2}, kC{3}, kD{4};
constexpr WallTime kOwn{1'700'000'000'000};
constexpr Instant kNow{100'000'000};
WallTime off(std::int64_t ms) { return WallTime{kOwn.ms + ms}; }

TEST(ClockWatch, AnswersWithoutAMajorityToBeOffFrom) {
  ClockWatch watch;
  EXPECT_TRUE(watch.trusted(kNow));
  watch.report(kB, off(3'600'000), kOwn, 0ms, kNow);
  EXPECT_TRUE(watch.trusted(kNow)) << "one of two is wrong, and nobody knows which";
}

TEST(ClockWatch, ANodeFarFromTheMedianIsNotTrusted) {
  ClockWatch watch(10s);
  watch.report(kB, off(10'001), kOwn, 0ms, kNow);
  watch.report(kC, off(10'001), kOwn, 0ms, kNow);
  EXPECT_FALSE(watch.trusted(kNow));
  EXPECT_EQ(watch.offset_ms(kNow), -10'001) << "own clock minus the median";
  watch.report(kC, off(10'000), kOwn, 0ms, kNow);
  EXPECT_TRUE(watch.trusted(kNow));
}

TEST(ClockWatch, OneWrongPeerMovesNothing) {
  ClockWatch watch(10s);
  watch.report(kB, off(-86'400'000), kOwn, 0ms, kNow);
  watch.report(kC, off(3), kOwn, 0ms, kNow);
  EXPECT_TRUE(watch.trusted(kNow));
  EXPECT_EQ(watch.offset_ms(kNow), 0);
}

TEST(ClockWatch, OfAnEvenNumberTheMiddleOfTheTwoInTheMiddle) {
  ClockWatch watch;
  watch.report(kB, off(10), kOwn, 0ms, kNow);
  watch.report(kC, off(20), kOwn, 0ms, kNow);
  watch.report(kD, off(40), kOwn, 0ms, kNow);
  EXPECT_EQ(watch.offset_ms(kNow), -15);
}

TEST(ClockWatch, HalfTheRoundTripHasPassedSinceThePeerReadItsClock) {
  ClockWatch watch;
  for (const NodeId node : {kB, kC}) watch.report(node, off(0), kOwn, 140ms, kNow);
  EXPECT_EQ(watch.offset_ms(kNow), -70);
}

TEST(ClockWatch, AReportOlderThanAMinuteSaysNothing) {
  ClockWatch watch;
  for (const NodeId node : {kB, kC}) watch.report(node, off(60'000), kOwn, 0ms, kNow);
  EXPECT_FALSE(watch.trusted(kNow + 59s));
  EXPECT_TRUE(watch.trusted(kNow + 60s));
}

TEST(ClockWatch, TheLatestReportOfAPeerReplacesItsEarlierOnes) {
  ClockWatch watch;
  for (const NodeId node : {kB, kC}) watch.report(node, off(60'000), kOwn, 0ms, kNow);
  for (const NodeId node : {kB, kC}) watch.report(node, off(1), kOwn, 0ms, kNow + 2s);
  EXPECT_TRUE(watch.trusted(kNow + 2s));
}

}  // namespace
}  // namespace evercert::store
