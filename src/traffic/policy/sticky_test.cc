// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/sticky.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace evercert::traffic {
namespace {

std::vector<StickyPlace> places(std::size_t count) {
  std::vector<StickyPlace> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back({stable_hash("10.0.0." + std::to_string(i) + ":9445"), 0, true});
  return out;
}

constexpr std::uint64_t kClients = 3000;

TEST(Sticky, AClientComesBackToItsPlaceAndAllPlacesHaveTheirShare) {
  const auto all = places(3);
  std::vector<int> count(3);
  for (std::uint64_t client = 0; client < kClients; ++client) {
    const auto place = sticky_place(client, all);
    ASSERT_TRUE(place);
    EXPECT_EQ(sticky_place(client, all), place);
    ++count[*place];
  }
  for (const int of : count) EXPECT_NEAR(of, kClients / 3.0, kClients / 20.0);
}

TEST(Sticky, APlaceThatGoesMovesItsOwnClientsAloneAndThoseComeBack) {
  auto all = places(5);
  std::vector<std::size_t> before;
  for (std::uint64_t client = 0; client < kClients; ++client) before.push_back(*sticky_place(client, all));
  all[2].well = false;
  for (std::uint64_t client = 0; client < kClients; ++client) {
    const auto now = sticky_place(client, all);
    EXPECT_TRUE(before[client] == 2 ? now != 2U : now == before[client]) << client;
  }
  all[2].well = true;
  for (std::uint64_t client = 0; client < kClients; ++client) EXPECT_EQ(sticky_place(client, all), before[client]);
}

TEST(Sticky, TheOrderOfThePlacesDoesNotMatter) {
  const auto all = places(4);
  const std::vector<StickyPlace> turned(all.rbegin(), all.rend());
  for (std::uint64_t client = 0; client < 100; ++client)
    EXPECT_EQ(3 - *sticky_place(client, all), *sticky_place(client, turned));
}

TEST(Sticky, AClientThatIsManyDoesNotDrownOnePlace) {
  auto all = places(3);
  for (int i = 0; i < 300; ++i) ++all[*sticky_place(7, all)].in_flight;
  for (const auto& place : all) EXPECT_LE(place.in_flight, static_cast<int>(kStickyBound * 100 + kStickySlack + 1));
}

TEST(Sticky, FewRequestsOfOneClientStayTogether) {
  auto all = places(3);
  const auto first = *sticky_place(7, all);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(*sticky_place(7, all), first);
    ++all[first].in_flight;
  }
}

TEST(Sticky, WhenNobodyIsWellThereIsNone) {
  auto all = places(2);
  for (auto& place : all) place.well = false;
  EXPECT_FALSE(sticky_place(1, all));
  EXPECT_FALSE(sticky_place(1, {}));
}

}  // namespace
}  // namespace evercert::traffic
