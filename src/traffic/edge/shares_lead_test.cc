// SPDX-License-Identifier: Apache-2.0
// Whom the controller's shares make an edge ask first, and that nobody is left without an answer by them.
#include "traffic/edge/shares_lead.h"

#include <gtest/gtest.h>

#include <map>

namespace evercert::traffic {
namespace {

class Hands : public MonotonicClock {
 public:
  Instant now() const override { return now_; }
  Instant now_{1'000'000'000};
};

class SharesLeadTest : public testing::Test {
 protected:
  SharesLeadTest() {
    for (const char* node : {"east/1", "east/2"})
      EXPECT_TRUE(backends_.add({{node, 1, true, node}, RegionId{1}, false, node}, false));
    for (const char* edge : {"west", "west", "south"})
      EXPECT_TRUE(backends_.add({{edge, 1, true, edge}, RegionId{2}, false, edge}, true));
    lead_ = std::make_unique<SharesLead>(backends_, "east");
  }
  void told_by(std::size_t regions, std::map<std::string, int> percent, std::map<std::string, int> nodes = {}) {
    Shares shares;
    shares.percent = std::move(percent);
    shares.nodes = std::move(nodes);
    shares.revision = ++revision_;
    const auto questions = lead_->questions();
    for (std::size_t i = 0; i < regions; ++i) lead_->said(questions[i], to_json(shares));
  }
  // Who is asked first.
  std::string first(const std::string& client, bool may_leave = true) {
    const auto way = lead_->way(client, may_leave);
    Backends::Tried tried;
    const auto attempt =
        backends_.begin(tried, {.may_leave_region = may_leave, .avoid = way.avoid, .elsewhere = way.elsewhere});
    EXPECT_TRUE(attempt) << "nobody is left without";
    if (!attempt) return "";
    backends_.finished(*attempt, Outcome::kAnswered);
    return backends_[attempt->endpoint].endpoint.name;
  }
  std::string client(int i) { return "10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".9"; }
  std::map<std::string, int> of_many(bool may_leave = true) {
    std::map<std::string, int> counts;
    for (int i = 0; i < 1000; ++i) ++counts[first(client(i), may_leave)];
    return counts;
  }

  Hands clock_;
  Backends backends_{{}, clock_, 7};
  std::unique_ptr<SharesLead> lead_;
  std::int64_t revision_ = 0;
};

TEST_F(SharesLeadTest, ByTheWordOfOneRegionNobodyIsLedAnywhere) {
  told_by(1, {{"east", 0}});
  EXPECT_EQ(of_many()["west"], 0);
  EXPECT_EQ(lead_->share(), 100);
}

TEST_F(SharesLeadTest, ARegionWithoutAShareIsServedByTheOthersFirst) {
  told_by(2, {{"east", 0}});
  auto counts = of_many();
  EXPECT_EQ(counts["east/1"] + counts["east/2"], 0);
  EXPECT_GT(counts["west"], 0);
  EXPECT_GT(counts["south"], 0);
  told_by(2, {{"east", 0}, {"south", 0}});
  EXPECT_EQ(of_many()["south"], 0) << "nor to one that has none itself";
}

TEST_F(SharesLeadTest, ItIsAlwaysTheSameClientsAndMoreOfThemAsTheShareFalls) {
  std::map<std::string, bool> led;
  told_by(2, {{"east", 75}});
  int few = 0, more = 0;
  for (int i = 0; i < 1000; ++i)
    few += led[client(i)] = first(client(i)).starts_with("west") || first(client(i)) == "south";
  told_by(2, {{"east", 25}});
  for (int i = 0; i < 1000; ++i) {
    const bool now = !first(client(i)).starts_with("east");
    EXPECT_TRUE(now || !led[client(i)]) << "who was led away is not led back by a smaller share";
    more += now ? 1 : 0;
  }
  EXPECT_NEAR(few, 250, 60);
  EXPECT_NEAR(more, 750, 60);
}

TEST_F(SharesLeadTest, WhoeverCannotBeServedElsewhereIsServedHere) {
  told_by(2, {{"east", 0}});
  EXPECT_TRUE(first(client(1), false).starts_with("east")) << "another edge has sent it here";
  for (std::size_t edge = 2; edge < 5; ++edge) backends_.unreachable(edge);
  EXPECT_TRUE(first(client(1)).starts_with("east"));
  told_by(2, {{"east", 0}, {"west", 0}, {"south", 0}});
  EXPECT_TRUE(first(client(1)).starts_with("east")) << "shares that leave nobody do not count";
}

TEST_F(SharesLeadTest, ANodeWithoutAShareIsAskedOnlyWhenTheOthersAreNotWell) {
  told_by(2, {}, {{"east/1", 0}});
  auto counts = of_many();
  EXPECT_EQ(counts["east/1"], 0);
  EXPECT_EQ(counts["east/2"], 1000);
  backends_.unreachable(1);
  EXPECT_EQ(first(client(3)), "east/1");
  told_by(2, {}, {{"east/1", 0}, {"east/2", 0}});
  clock_.now_ = clock_.now_ + 100s;
  EXPECT_TRUE(first(client(3)).starts_with("east")) << "no node of the region has a share: that counts for nothing";
}

TEST_F(SharesLeadTest, TheLastDocumentStaysAndAnOlderOneTakesNothingBack) {
  told_by(2, {{"east", 0}});
  revision_ = 0;
  told_by(3, {{"east", 100}});
  EXPECT_EQ(lead_->share(), 0);
  const auto questions = lead_->questions();
  for (const auto& question : questions) lead_->said(question, "{");
  EXPECT_EQ(lead_->share(), 0);
}

TEST_F(SharesLeadTest, OfEachRegionAnotherEdgeIsAskedInTurn) {
  const auto first = lead_->questions(), second = lead_->questions(), third = lead_->questions();
  ASSERT_EQ(first.size(), 3u);
  EXPECT_NE(first[0].endpoint, second[0].endpoint);
  EXPECT_NE(first[1].endpoint, second[1].endpoint);
  EXPECT_EQ(first[1].endpoint, third[1].endpoint);
  EXPECT_EQ(first[2].name, "south");
}

TEST(MayBeLedAway, NotWhatARegionSaysOfItselfNorWhatAnOperatorOrders) {
  EXPECT_TRUE(may_be_led_away(Criticality::kIssuance, "/v1/certificates"));
  EXPECT_TRUE(may_be_led_away(Criticality::kIssuance, "/v1/healthy"));
  EXPECT_FALSE(may_be_led_away(Criticality::kOperator, "/v1/regions"));
  EXPECT_FALSE(may_be_led_away(Criticality::kIssuance, "/v1/failover/shares"));
  EXPECT_FALSE(may_be_led_away(Criticality::kIssuance, "/v1/health"));
  EXPECT_FALSE(may_be_led_away(Criticality::kIssuance, "/v1/capacity"));
}

}  // namespace
}  // namespace evercert::traffic
