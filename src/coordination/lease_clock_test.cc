// SPDX-License-Identifier: Apache-2.0
#include "coordination/lease_clock.h"

#include <gtest/gtest.h>

namespace evercert::coordination {
namespace {

v1::Lease lease(std::int64_t id, std::int64_t ttl, std::uint64_t renewals = 0) {
  v1::Lease out;
  out.set_id(id);
  out.set_ttl(ttl);
  out.set_renewals(renewals);
  return out;
}

constexpr Instant kStart{1'000'000'000};

TEST(LeaseClock, ALeaseIsDueOnceItsWholeTimeHasPassedAndNotBefore) {
  LeaseClock clock;
  clock.changed({lease(1, 10), false}, kStart);
  EXPECT_TRUE(clock.due(kStart + 10s).empty());
  const auto due = clock.due(kStart + 11s);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].lease(), 1);
  EXPECT_TRUE(clock.due(kStart + 11s).empty());
  EXPECT_EQ(clock.due(kStart + 13s).size(), 1u);  // what did not end is named again
}

TEST(LeaseClock, ARenewalBeginsTheTimeAnewAndIsNamedInTheExpiry) {
  LeaseClock clock;
  clock.changed({lease(1, 10), false}, kStart);
  clock.changed({lease(1, 10, 1), false}, kStart + 9s);
  EXPECT_TRUE(clock.due(kStart + 19s).empty());
  const auto due = clock.due(kStart + 20s);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].renewals(), 1u);
}

TEST(LeaseClock, UnderAnotherLeaderEveryLeaseHasItsWholeTime) {
  LeaseClock clock;
  clock.reset({lease(1, 10), lease(2, 20)}, kStart);
  clock.restart(kStart + 9s);
  EXPECT_TRUE(clock.due(kStart + 19s).empty());
  EXPECT_EQ(clock.due(kStart + 20s).size(), 1u);
}

TEST(LeaseClock, AnEndedLeaseIsForgotten) {
  LeaseClock clock;
  clock.changed({lease(1, 10), false}, kStart);
  EXPECT_EQ(clock.remaining(1, kStart + 4s), 6s + 312'500us);
  clock.changed({lease(1, 10), true}, kStart + 5s);
  EXPECT_EQ(clock.remaining(1, kStart + 5s), std::nullopt);
  EXPECT_TRUE(clock.due(kStart + 60s).empty());
}

}  // namespace
}  // namespace evercert::coordination
