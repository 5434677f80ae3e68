// SPDX-License-Identifier: Apache-2.0
#include "health/board.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace evercert::health {
namespace {

constexpr RegionId kEast{1}, kWest{2}, kEurope{3};
const NodeId kSelf = node_id(kEast, 1), kWestern = node_id(kWest, 1), kEuropean = node_id(kEurope, 1);

BoardOptions three_regions(std::uint8_t zones = 1) {
  BoardOptions options;
  options.self = kSelf;
  options.regions = {{kEast, "us-east-1"}, {kWest, "us-west-2"}, {kEurope, "eu-central-1"}};
  for (const RegionId region : {kEast, kWest, kEurope}) {
    for (std::uint8_t zone = 1; zone <= zones; ++zone) options.nodes[node_id(region, zone)] = region;
  }
  return options;
}

struct Cluster {
  Board board;
  Instant now{1'000'000};
  std::map<NodeId, Report> says;  // nodes without an entry do not answer

  explicit Cluster(std::uint8_t zones = 1) : board(three_regions(zones), Instant{0}) {
    for (const auto& [node, region] : board.options().nodes) says[node] = {node, {{"HSM", {100, ""}}}, {}};
    says.erase(kSelf);
  }
  std::vector<Verdicts::Change> run(Duration lasting) {
    std::vector<Verdicts::Change> changes;
    for (const Instant end = now + lasting; now < end; now = now + 100ms) {
      for (const NodeId node : board.due(now)) {
        board.asked(node, now);
        const auto report = says.find(node);
        if (report == says.end()) {
          board.answered(node, fail(Code::kUnavailable, "connection refused"), now);
        } else {
          board.answered(node, report->second, now);
        }
      }
      for (auto& change : board.review(now)) changes.push_back(std::move(change));
    }
    return changes;
  }
};

TEST(Board, AllIsWellUntilSomethingIsNot) {
  Cluster cluster;
  EXPECT_TRUE(cluster.run(60s).empty());
  EXPECT_EQ(cluster.board.globe().to_text(), "100");
}

TEST(Board, ANodeThatDoesNotAnswerTakesItsRegionDownInTheEyesOfThisOne) {
  Cluster cluster;
  cluster.run(10s);
  cluster.says.erase(kEuropean);
  cluster.run(10s);
  EXPECT_EQ(cluster.board.region(kEurope).to_text(), "0: api 0 of 1 (eu-central-1/1 down (connection refused))");
  EXPECT_NEAR(cluster.board.globe().points, 66.7, 0.1);
  EXPECT_FALSE(cluster.board.out(kEurope)) << "one observer";
}

TEST(Board, ARegionIsOutWhenASecondRegionSaysTheSame) {
  Cluster cluster;
  cluster.run(10s);
  cluster.says.erase(kEuropean);
  cluster.says[kWestern].regions[kEurope] = {0, "api down"};
  const auto changes = cluster.run(10s);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_TRUE(cluster.board.out(kEurope));
  EXPECT_NE(changes.front().evidence.find("region 2 says 0 (api down)"), std::string::npos);
}

TEST(Board, OneFailedCheckOfEachOfTwoServicesIsNoOutage) {
  Cluster cluster;
  cluster.run(10s);
  // As a node at its start: its checks of itself have failed once, and everybody sees it so.
  for (const char* service : {"HSM", "database"})
    cluster.says[kEuropean].components[service] = {50, std::string(service) + " failed once"};
  cluster.says[kWestern].regions[kEurope] = {45, "HSM failed once"};
  EXPECT_TRUE(cluster.run(60s).empty());
  EXPECT_LT(cluster.board.region(kEurope).points, 50);
  EXPECT_FALSE(cluster.board.out(kEurope));
}

TEST(Board, OneRegionThatLiesTakesNobodyOut) {
  Cluster cluster;
  cluster.says[kWestern].regions[kEurope] = {0, "a lie"};
  cluster.says[kWestern].regions[kEast] = {0, "a lie"};
  EXPECT_TRUE(cluster.run(120s).empty());
}

TEST(Board, WhatIsSaidOfARegionThatIsNotKnownHereIsNoWord) {
  Cluster cluster;
  for (const NodeId node : {kWestern, kEuropean}) cluster.says[node].regions[RegionId{4}] = {0, "it is new"};
  EXPECT_TRUE(cluster.run(30s).empty());
}

TEST(Board, AZoneThatIsLostLeavesItsRegionAThirdWorse) {
  Cluster cluster(3);
  cluster.run(10s);
  cluster.says.erase(node_id(kEurope, 2));
  cluster.run(10s);
  EXPECT_NEAR(cluster.board.region(kEurope).points, 66.7, 0.1);
  EXPECT_EQ(cluster.board.service(kEurope, "HSM").points, 100) << "those that are left have theirs";
  EXPECT_EQ(cluster.board.node(node_id(kEurope, 2)).points, 0);
}

TEST(Board, ANodeThatIsAddedIsCheckedAndOneThatIsRemovedIsNobodysConcern) {
  Cluster cluster;
  cluster.run(10s);
  auto nodes = cluster.board.options().nodes;
  const NodeId added = node_id(kWest, 2);
  nodes[added] = kWest;
  cluster.board.set_nodes(nodes, cluster.now);
  cluster.run(10s);
  EXPECT_EQ(cluster.board.service(kWest, "api").to_text().substr(0, 15), "50: api 1 of 2 ") << "it does not answer";
  cluster.says[added] = {added, {}, {}};
  cluster.run(30s);
  EXPECT_EQ(cluster.board.region(kWest).to_text(), "100");
  cluster.says.erase(kWestern);
  nodes.erase(kWestern);
  cluster.board.set_nodes(nodes, cluster.now);
  cluster.run(30s);
  EXPECT_EQ(cluster.board.region(kWest).to_text(), "100") << "it was removed, and may be stopped";
  EXPECT_EQ(cluster.board.node(added).points, 100);
}

TEST(Board, ARegionWithoutNodesIsNotOut) {
  Cluster cluster;
  cluster.run(10s);
  auto nodes = cluster.board.options().nodes;
  nodes.erase(kEuropean);
  cluster.board.set_nodes(nodes, cluster.now);
  EXPECT_TRUE(cluster.run(60s).empty());
  EXPECT_FALSE(cluster.board.out(kEurope));
  EXPECT_FALSE(cluster.board.report().regions.contains(kEurope)) << "nor is a word said of it";
  EXPECT_EQ(cluster.board.globe().to_text(), "100");
}

TEST(Board, WhatANodeSaysOfItselfIsReadWithItsReason) {
  Cluster cluster(3);
  cluster.says[node_id(kEurope, 1)].components["HSM"] = {0, "HSM down (token gone)"};
  for (std::uint8_t zone = 1; zone <= 3; ++zone)
    cluster.says[node_id(kEurope, zone)].components["lag"] = {91, "lag p99 180 ms"};
  cluster.run(10s);
  EXPECT_EQ(cluster.board.region(kEurope).to_text(), "66: HSM 2 of 3 (HSM down (token gone)), lag (lag p99 180 ms)");
}

TEST(Board, AnAnswerOfAnotherNodeIsNone) {
  Cluster cluster;
  cluster.says[kEuropean].node = kWestern;
  cluster.run(10s);
  EXPECT_EQ(cluster.board.region(kEurope).points, 0);
}

TEST(Board, WhoNeverAnswersIsNotAskedTwiceAtOnceAndFailsByTime) {
  Board board(three_regions(), Instant{0});
  Instant now{0};
  board.asked(kEuropean, now);
  EXPECT_EQ(board.due(now), std::vector<NodeId>{kWestern});
  now = now + 3s;
  board.review(now);
  EXPECT_EQ(board.node(kEuropean).points, 50);
  board.answered(kEuropean, Report{kEuropean, {}, {}}, now);
  EXPECT_EQ(board.node(kEuropean).points, 50) << "too late";
}

TEST(Board, OwnComponentsAreChecksAndMeasures) {
  Cluster cluster;
  Component& database = cluster.board.check("database", kDatabaseCheck, cluster.now);
  EXPECT_TRUE(database.due(cluster.now));
  EXPECT_EQ(cluster.board.node(kSelf).points, 100) << "nothing is known of it yet";
  for (int i = 0; i < 2; ++i) {
    database.began(cluster.now);
    database.ended({false, {}, "no lease"}, cluster.now);
  }
  cluster.board.measured("lag", measured(550, 100, 1000, "lag p99 550 ms"));
  EXPECT_EQ(cluster.board.node(kSelf).points, 0);
  EXPECT_EQ(cluster.board.report().components.at("lag").points, 50);
  EXPECT_EQ(cluster.board.report().components.at("database").why, "database down (no lease)");
  EXPECT_EQ(cluster.board.report().regions.at(kEast).points, 0);
}

// Three boards that ask each other over links of 75 ms, with heartbeats every 150 ms; 200 ms between two looks.
class Trio {
 public:
  explicit Trio(unsigned seed) : random_(seed) {
    for (const NodeId node : {kSelf, kWestern, kEuropean}) {
      auto options = three_regions();
      options.self = node;
      boards_.emplace(node, Board(options, Instant{0}));
    }
  }
  void run(Duration lasting) {
    for (const Instant end = now + lasting; now < end; now = now + 10ms) {
      for (auto& [node, board] : boards_) {
        if (dead.contains(node)) continue;
        beat(node);
        if ((now.us / 10'000 + static_cast<std::int64_t>(node.value)) % 20 == 0) look(node, board);
      }
    }
  }
  bool up(NodeId a, NodeId b) const {
    return !dead.contains(a) && !dead.contains(b) && !cut.contains(std::minmax(a, b));
  }
  const Board& board(NodeId node) const { return boards_.at(node); }

  Instant now{1'000'000};
  std::set<NodeId> dead;
  std::set<std::pair<NodeId, NodeId>> cut;  // links
  std::vector<std::pair<Instant, Verdicts::Change>> changes;

 private:
  void beat(NodeId from) {
    if (now < next_beat_[from]) return;
    next_beat_[from] = now + 140ms + Duration(static_cast<std::int64_t>(random_() % 20'000));
    for (auto& [to, board] : boards_) {
      if (to != from && up(from, to)) board.heard(from, now + 75ms);
    }
  }
  void look(NodeId node, Board& board) {
    for (const NodeId asked : board.due(now)) {
      board.asked(asked, now);
      if (up(node, asked)) board.answered(asked, boards_.at(asked).report(), now + 150ms);
      else board.answered(asked, fail(Code::kUnavailable, "no connection"), now);
    }
    for (auto& change : board.review(now)) changes.emplace_back(now, std::move(change));
  }

  std::mt19937 random_;
  std::map<NodeId, Board> boards_;
  std::map<NodeId, Instant> next_beat_;
};

TEST(Board, ARegionThatDiesIsOutInAllEyesWithinThreeSeconds) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    Trio trio(seed);
    trio.run(20s + Duration(seed * 110'000));
    ASSERT_TRUE(trio.changes.empty()) << trio.changes.front().second.evidence;
    trio.dead.insert(kEuropean);
    trio.run(1s);
    EXPECT_LT(trio.board(kSelf).node(kEuropean).points, 100) << "after a second it is no longer thought well";
    trio.run(2s);
    EXPECT_TRUE(trio.board(kSelf).out(kEurope)) << seed;
    EXPECT_TRUE(trio.board(kWestern).out(kEurope)) << seed;
  }
}

TEST(Board, ALinkBetweenTwoRegionsTakesNobodyOut) {
  Trio trio(1);
  trio.run(20s);
  trio.cut.insert(std::minmax(kSelf, kEuropean));
  trio.run(120s);
  EXPECT_TRUE(trio.changes.empty()) << "the third region sees both";
}

TEST(Board, LinksThatFlapChangeTrafficAtMostOnceInHalfAMinute) {
  for (const Duration period : {1s, 2s, 5s, 10s, 20s, 40s}) {
    Trio trio(2);
    trio.run(20s);
    const auto begun = trio.changes.size();
    for (const Instant end = trio.now + 600s; trio.now < end;) {
      for (const NodeId other : {kSelf, kWestern}) trio.cut.insert(std::minmax(other, kEuropean));
      trio.run(period);
      trio.cut.clear();
      trio.run(period);
    }
    EXPECT_LE((trio.changes.size() - begun) / 3, 600u / 30) << period.count();
  }
}

TEST(Report, IsReadAsItWasWritten) {
  const Report report{kWestern, {{"HSM", {50, "slow \"x\""}}}, {{kEurope, {12.5, "api 0 of 1"}}}};
  const auto read = parse_report(to_json(report));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->node, kWestern);
  EXPECT_EQ(read->components.at("HSM").why, "slow \"x\"");
  EXPECT_EQ(read->regions.at(kEurope).points, 12.5);
}

TEST(Report, WhatIsNoReportIsRefused) {
  for (const char* bad :
       {"", "[]", "{}", "{\"node\":-1}", "{\"node\":257,\"components\":[]}",
        "{\"node\":257,\"components\":{\"HSM\":{}}}", "{\"node\":257,\"components\":{\"HSM\":{\"score\":101}}}",
        "{\"node\":257,\"components\":{\"HSM\":{\"score\":\"5\"}}}",
        "{\"node\":257,\"components\":{\"HSM\":{\"score\":5,\"why\":5}}}",
        "{\"node\":257,\"components\":{\"\":{\"score\":5}}}", "{\"node\":257,\"regions\":{\"0\":{\"score\":5}}}",
        "{\"node\":257,\"regions\":{\"256\":{\"score\":5}}}", "{\"node\":257,\"regions\":{\"x\":{\"score\":5}}}",
        "{\"node\":257"}) {
    EXPECT_FALSE(parse_report(bad)) << bad;
  }
  EXPECT_FALSE(parse_report("{\"node\":257," + std::string(70'000, ' ') + "\"a\":1}"));
  std::string many = "{\"node\":257,\"components\":{";
  for (int i = 0; i < 100; ++i) many += (i == 0 ? "\"c" : ",\"c") + std::to_string(i) + "\":{\"score\":1}";
  EXPECT_FALSE(parse_report(many + "}}"));
}

}  // namespace
}  // namespace evercert::health
