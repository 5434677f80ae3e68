// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/view.h"

#include <gtest/gtest.h>

#include <map>

#include "traffic/dns/brain.h"
#include "traffic/dns/geography.h"

namespace evercert::traffic::dns {
namespace {

RegionFacts region(const std::string& name, double weight = 1, int priority = 1, int edges = 1) {
  RegionFacts facts;
  facts.name = name;
  facts.endpoint = name + ".api.test.";
  facts.weight = weight;
  facts.priority = priority;
  facts.coordinates = well_known_coordinates(name);
  for (int e = 0; e < edges; ++e) facts.edges.push_back({{*parse_address("192.0.2." + std::to_string(e + 1))}, 443});
  return facts;
}

std::vector<RegionFacts> three() {
  return {region("us-east-1", 33), region("us-west-2", 33), region("eu-central-1", 34)};
}

IpAddress client(std::uint32_t network) {
  IpAddress address;
  address.bytes = {static_cast<std::uint8_t>(network >> 16), static_cast<std::uint8_t>(network >> 8),
                   static_cast<std::uint8_t>(network), 9};
  return address;
}

Place in(const char* name) { return {std::nullopt, well_known_coordinates(name), 16}; }

std::vector<double> shares(const View& view, const Place& place, std::uint32_t clients = 20000) {
  std::vector<double> counts(view.facts().size());
  for (std::uint32_t c = 0; c < clients; ++c) counts[view.choose(client(c), 32, place, 1).regions[0].region] += 1;
  for (double& count : counts) count /= clients;
  return counts;
}

TEST(View, TheNearestIsFirstAndTheNextNearestBehind) {
  const View view(three(), Policy::kWeightedLatency);
  for (std::uint32_t c = 0; c < 100; ++c) {
    const Choice european = view.choose(client(c), 32, in("eu-west-3"), 3);
    EXPECT_EQ(european.regions[0].region, 2);
    EXPECT_EQ(european.regions[1].region, 0);
    EXPECT_EQ(european.regions[2].region, 1);
    EXPECT_EQ(view.choose(client(c), 32, in("us-west-1"), 3).regions[0].region, 1);
  }
}

TEST(View, WeightsDecideAmongThoseThatAreAboutAsNearAndNowhereElse) {
  auto facts = three();
  facts[0].weight = 90;
  facts[1].weight = 10;
  const View view(facts, Policy::kWeightedLatency);
  // Half way between the American regions.
  const Place middle{std::nullopt, Coordinates{44, -98}, 16};
  const auto share = shares(view, middle);
  EXPECT_NEAR(share[0], 0.9, 0.02);
  EXPECT_NEAR(share[1], 0.1, 0.02);
  EXPECT_EQ(share[2], 0);
}

TEST(View, WhosePlaceIsUnknownGoesByWeight) {
  const View view(three(), Policy::kWeightedLatency);
  const auto share = shares(view, {});
  EXPECT_NEAR(share[0], 0.33, 0.02);
  EXPECT_NEAR(share[2], 0.34, 0.02);
}

TEST(View, ATableThatNamesTheRegionIsBelieved) {
  const View view(three(), Policy::kWeightedLatency);
  Place place;
  place.region = 1;
  const Choice choice = view.choose(client(7), 32, place, 3);
  EXPECT_EQ(choice.regions[0].region, 1);
  EXPECT_EQ(choice.regions[1].region, 0) << "the one that is nearest to it";
}

TEST(View, ALowerPriorityIsUsedFirstWhateverTheDistance) {
  auto facts = three();
  facts[2].priority = 2;
  const View view(facts, Policy::kWeightedLatency);
  const Choice choice = view.choose(client(7), 32, in("eu-central-1"), 3);
  EXPECT_EQ(choice.regions[0].region, 0);
  EXPECT_EQ(choice.regions[2].region, 2);
}

TEST(View, WeightZeroIsTheLastResort) {
  auto facts = three();
  facts[2].weight = 0;
  const View view(facts, Policy::kWeightedLatency);
  for (std::uint32_t c = 0; c < 100; ++c)
    EXPECT_EQ(view.choose(client(c), 32, in("eu-central-1"), 3).regions[2].region, 2);
}

TEST(View, ThePoliciesAreWhatTheirNamesSay) {
  const auto share_of = [](Policy policy) { return shares(View(three(), policy), in("eu-central-1"), 4000); };
  EXPECT_NEAR(share_of(Policy::kWeighted)[0], 0.33, 0.03);
  EXPECT_EQ(share_of(Policy::kLatency)[2], 1);
  EXPECT_EQ(share_of(Policy::kGeographic)[2], 1);
}

TEST(View, AClientIsAnsweredTheSameByEveryServerOfTheZone) {
  const View one(three(), Policy::kWeightedLatency), other(three(), Policy::kWeightedLatency);
  for (std::uint32_t c = 0; c < 1000; ++c) {
    EXPECT_EQ(one.choose(client(c), 32, {}, 3).key(), other.choose(client(c), 32, {}, 3).key());
    IpAddress neighbour = client(c);
    neighbour.bytes[3] = 200;
    EXPECT_EQ(one.choose(client(c), 32, {}, 3).key(), one.choose(neighbour, 32, {}, 3).key());
  }
}

TEST(View, TheScopeSaysWhatTheAnswerDependsOn) {
  const View view(three(), Policy::kWeightedLatency);
  EXPECT_EQ(view.choose(client(1), 24, in("eu-central-1"), 2).scope, 16) << "the place alone";
  EXPECT_EQ(view.choose(client(1), 24, {}, 2).scope, kNetworkBits4) << "weights: the client's network";
  EXPECT_EQ(View({region("us-east-1")}, Policy::kWeightedLatency).choose(client(1), 24, in("eu-west-1"), 2).scope, 0)
      << "there is one region for all";
  EXPECT_EQ(View({region("us-east-1", 1, 1, 2)}, Policy::kWeightedLatency).choose(client(1), 24, {}, 2).scope,
            kNetworkBits4)
      << "the order of its edges";
  EXPECT_EQ(view.choose(*parse_address("2001:db8::"), 56, {}, 2).scope, kNetworkBits6);
}

TEST(View, ClientsOfARegionAreSpreadOverItsEdges) {
  const View view({region("us-east-1", 1, 1, 4)}, Policy::kWeightedLatency);
  std::map<int, int> firsts;
  for (std::uint32_t c = 0; c < 4000; ++c) ++firsts[view.choose(client(c), 32, {}, 1).regions[0].first_edge];
  ASSERT_EQ(firsts.size(), 4u);
  for (const auto& [edge, count] : firsts) EXPECT_NEAR(count, 1000, 150);
}

// A region whose checks have become slow is farther away.
TEST(View, SlownessCountsAsDistance) {
  Brain brain({region("us-east-1"), region("us-west-2")}, Policy::kWeightedLatency, {}, Instant{0});
  Instant now{0};
  for (int i = 0; i < 20; ++i) {
    now = now + 5s;
    for (std::size_t r = 0; r < 2; ++r) brain.checked(r, 0, {true, 20ms, ""}, now);
  }
  EXPECT_EQ(brain.view()->choose(client(1), 32, in("us-east-1"), 2).regions[0].region, 0);
  for (int i = 0; i < 20; ++i) {
    now = now + 5s;
    brain.checked(0, 0, {true, 900ms, ""}, now);
    brain.checked(1, 0, {true, 20ms, ""}, now);
  }
  EXPECT_EQ(brain.view()->choose(client(1), 32, in("us-east-1"), 2).regions[0].region, 1);
  EXPECT_EQ(
      View(brain.view()->facts(), Policy::kGeographic).choose(client(1), 32, in("us-east-1"), 2).regions[0].region, 0);
}

// Losing a region moves the clients of that region alone.
TEST(View, NobodyElseMovesWhenARegionIsLost) {
  Brain brain(three(), Policy::kWeightedLatency, {{1, 1}, 50, 10s, 30s, 30s}, Instant{0});
  const auto before = brain.view();
  brain.checked(1, 0, {false, 1ms, "dead"}, Instant{1000});
  const auto after = brain.view();
  ASSERT_FALSE(after->states()[1].in);
  int moved = 0;
  for (std::uint32_t c = 0; c < 3000; ++c) {
    const auto was = before->choose(client(c), 32, {}, 1).regions[0].region;
    const auto is = after->choose(client(c), 32, {}, 1).regions[0].region;
    EXPECT_NE(is, 1);
    if (was != 1) {
      EXPECT_EQ(is, was);
    } else {
      ++moved;
    }
  }
  EXPECT_NEAR(moved, 990, 100);
}

std::shared_ptr<const View> with_shares(const std::vector<int>& percent) {
  Brain brain(three(), Policy::kWeightedLatency, {}, Instant{1});
  brain.set_shares(percent, "a test", Instant{2});
  return brain.view();
}

TEST(View, ARegionGetsItsShareOfTheClientsThatAreNearIt) {
  const auto view = with_shares({100, 100, 25});
  const auto counts = shares(*view, in("eu-west-3"));
  EXPECT_NEAR(counts[2], 0.25, 0.02) << "a quarter of those that would all be led there";
  EXPECT_NEAR(counts[0], 0.75, 0.02) << "the others to the next nearest";
  EXPECT_NEAR(shares(*view, in("us-west-2"))[1], 1, 1e-9) << "who is near others notices nothing";
}

TEST(View, WhoIsLedToAReturningRegionStaysThereWhenItsShareGrows) {
  const auto few = with_shares({100, 100, 5}), more = with_shares({100, 100, 50});
  int led = 0;
  for (std::uint32_t c = 0; c < 2000; ++c) {
    if (few->choose(client(c), 32, in("eu-west-3"), 1).regions[0].region != 2) continue;
    ++led;
    EXPECT_EQ(more->choose(client(c), 32, in("eu-west-3"), 1).regions[0].region, 2);
  }
  EXPECT_GT(led, 50);
}

TEST(View, NobodyIsLedToARegionWithoutAShareUnlessThereIsNoOther) {
  const auto none = with_shares({100, 100, 0});
  for (std::uint32_t c = 0; c < 100; ++c) {
    const Choice choice = none->choose(client(c), 32, in("eu-west-3"), 3);
    EXPECT_EQ(choice.count, 2);
    for (std::size_t i = 0; i < choice.count; ++i) EXPECT_NE(choice.regions[i].region, 2);
  }
  EXPECT_FALSE(none->leads_to(2));
  const auto nobody = with_shares({0, 0, 0});
  EXPECT_EQ(nobody->choose(client(1), 32, in("eu-west-3"), 3).count, 3) << "shares that leave nobody do not count";
  EXPECT_TRUE(nobody->leads_to(2));
}

TEST(View, AClientThatNoRegionsShareTakesIsLedAsIfThereWereNone) {
  const auto view = with_shares({1, 1, 1});
  for (std::uint32_t c = 0; c < 500; ++c) EXPECT_GT(view->choose(client(c), 32, in("eu-west-3"), 2).count, 0);
}

}  // namespace
}  // namespace evercert::traffic::dns
