// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "traffic/policy/locality.h"
#include "traffic/policy/peak_ewma.h"
#include "traffic/policy/slow_start.h"
#include "traffic/policy/subset.h"
#include "traffic/policy/two_choices.h"
#include "traffic/policy/weighted_round_robin.h"

namespace evercert::traffic {
namespace {

constexpr Instant kStart{1'000'000};

TEST(WeightedRoundRobin, GivesTurnsInProportionAndSpreadsThoseOfAHeavyOne) {
  WeightedRoundRobin turns;
  turns.add(5);
  turns.add(1);
  turns.add(1);
  std::string order;
  for (int i = 0; i < 7; ++i) order += static_cast<char>('a' + *turns.next());
  EXPECT_EQ(order, "aabacaa");
}

TEST(WeightedRoundRobin, WhoIsLeftOutGetsNothingAndDoesNotCatchUp) {
  WeightedRoundRobin turns;
  turns.add(1);
  turns.add(1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(turns.next([](std::size_t at) { return at == 0; }), 0u);
  std::array<int, 2> seen{};
  for (int i = 0; i < 10; ++i) ++seen[*turns.next()];
  EXPECT_EQ(seen[0], 5);
  EXPECT_EQ(seen[1], 5);
  EXPECT_EQ(turns.next([](std::size_t) { return false; }), std::nullopt);
}

TEST(WeightedRoundRobin, WeightNoughtIsNeverChosen) {
  WeightedRoundRobin turns;
  turns.add(0);
  EXPECT_EQ(turns.next(), std::nullopt);
  turns.add(3);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(turns.next(), 1u);
  turns.set_weight(1, 0);
  EXPECT_EQ(turns.next(), std::nullopt);
}

TEST(PeakEwma, JumpsToAPeakAndComesDownSlowly) {
  PeakEwma cost(10s);
  cost.record(10ms, kStart);
  cost.record(200ms, kStart + 1ms);
  EXPECT_GE(cost.cost(kStart + 1ms), 199'000);
  cost.record(10ms, kStart + 101ms);
  EXPECT_GT(cost.cost(kStart + 101ms), 190'000) << "one good answer does not make up for it";
  for (int i = 1; i <= 600; ++i) cost.record(10ms, kStart + 101ms + i * 100ms);
  EXPECT_LT(cost.cost(kStart + 60'101ms), 12'000);
}

TEST(PeakEwma, WhatNobodyAsksLooksBetterWithTime) {
  PeakEwma cost(10s);
  cost.record(200ms, kStart);
  EXPECT_LT(cost.cost(kStart + 30s), 10'000) << "else one slow answer would shut it out for ever";
}

TEST(PeakEwma, AnUnknownOneGetsOneRequestAndNoSecond) {
  PeakEwma unknown, known;
  known.record(500ms, kStart);
  EXPECT_LT(unknown.load(0, kStart), known.load(0, kStart));
  EXPECT_GT(unknown.load(1, kStart), known.load(100, kStart));
}

TEST(PeakEwma, AnAnswerThatIsStillMissingCountsOnlyWhenItIsWorse) {
  PeakEwma cost;
  cost.record(100ms, kStart);
  cost.record_at_least(10ms, kStart);
  EXPECT_GE(cost.cost(kStart), 99'000);
  cost.record_at_least(300ms, kStart);
  EXPECT_GE(cost.cost(kStart), 299'000);
}

TEST(TwoChoices, TakesTheLessLoadedOfTwoDifferentOnes) {
  const std::array<std::uint16_t, 4> all{10, 11, 12, 13};
  std::uint64_t chance = 1;
  std::map<std::uint16_t, int> seen;
  for (int i = 0; i < 6000; ++i) {
    chance = mix(chance + 0x9e3779b97f4a7c15);
    ++seen[two_choices(all, chance, [](std::uint16_t at) { return at; })];
  }
  // Of the six pairs 10 is the better in three, 11 in two, 12 in one.
  EXPECT_NEAR(seen[10], 3000, 200);
  EXPECT_NEAR(seen[11], 2000, 200);
  EXPECT_NEAR(seen[12], 1000, 200);
  EXPECT_EQ(seen[13], 0) << "the worst of all is never the better of two";
}

TEST(Locality, StaysNearUntilItsThresholdAndThenGoesFurther) {
  const SpillAt at{0.5, 1.0, 1.0};
  std::array<TierLoad, kDistances> tiers{{{4, 10}, {0, 20}, {0, 20}}};
  EXPECT_EQ(choose_tier(tiers, at), 0u);
  tiers[0].in_flight = 5;
  EXPECT_EQ(choose_tier(tiers, at), 1u);
  tiers[1].in_flight = 19;
  EXPECT_EQ(choose_tier(tiers, at), 1u) << "the region is filled before it is left";
  tiers[1].in_flight = 20;
  EXPECT_EQ(choose_tier(tiers, at), 2u);
}

TEST(Locality, WhenAllAreFullTheLeastUtilisedTakesItAndNobodyWhoIsGone) {
  std::array<TierLoad, kDistances> tiers{{{30, 10}, {50, 20}, {80, 20}}};
  EXPECT_EQ(choose_tier(tiers), 1u);
  tiers[0].capacity = tiers[1].capacity = 0;
  EXPECT_EQ(choose_tier(tiers), 2u);
  tiers[2].capacity = 0;
  EXPECT_EQ(choose_tier(tiers), std::nullopt);
}

TEST(Subset, IsTheSameEverywhereAndChangesByOneMemberWhenOneGoes) {
  std::vector<std::uint64_t> endpoints;
  for (int i = 0; i < 40; ++i) endpoints.push_back(stable_hash("node-" + std::to_string(i)));
  for (std::uint64_t client = 0; client < 50; ++client) {
    const auto before = subset(client, endpoints, 5);
    ASSERT_EQ(before.size(), 5u);
    auto reversed = endpoints;
    std::reverse(reversed.begin(), reversed.end());
    std::set<std::uint64_t> names, again, after;
    for (const auto at : before) names.insert(endpoints[at]);
    for (const auto at : subset(client, reversed, 5)) again.insert(reversed[at]);
    EXPECT_EQ(names, again) << "whatever order they are listed in";
    auto fewer = endpoints;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(before[0]));
    for (const auto at : subset(client, fewer, 5)) after.insert(fewer[at]);
    std::vector<std::uint64_t> kept;
    std::set_intersection(names.begin(), names.end(), after.begin(), after.end(), std::back_inserter(kept));
    EXPECT_EQ(kept.size(), 4u);
  }
}

TEST(Subset, SpreadsClientsOverAllEndpoints) {
  std::vector<std::uint64_t> endpoints;
  for (int i = 0; i < 20; ++i) endpoints.push_back(stable_hash("node-" + std::to_string(i)));
  std::vector<int> clients(20);
  for (std::uint64_t client = 0; client < 2000; ++client) {
    for (const auto at : subset(client, endpoints, 4)) ++clients[at];
  }
  for (const int n : clients) EXPECT_NEAR(n, 400, 120);
  EXPECT_EQ(subset(1, endpoints, 100).size(), 20u) << "no more than there are";
}

TEST(SlowStart, RisesFromLittleToAllAndOnlyAfterAReturn) {
  SlowStart start(10s, 0.1);
  EXPECT_EQ(start.weight(kStart), 1);
  start.returned(kStart);
  EXPECT_DOUBLE_EQ(start.weight(kStart), 0.1);
  EXPECT_DOUBLE_EQ(start.weight(kStart + 5s), 0.5);
  EXPECT_DOUBLE_EQ(start.weight(kStart + 11s), 1);
}

}  // namespace
}  // namespace evercert::traffic
