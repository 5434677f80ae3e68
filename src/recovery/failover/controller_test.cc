// SPDX-License-Identifier: Apache-2.0
// What persons may expect of the controller, one promise at a time. What breaks in between is failover_sim_test.cc.
#include "recovery/failover/controller.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace evercert::recovery {
namespace {

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() {
    for (std::uint8_t r = 1; r <= 3; ++r) {
      const RegionId region{r};
      cluster.regions[region] = std::string("region-") + static_cast<char>('0' + r);
      cluster.nodes[node_id(region, 1)] = region;
      picture.members[region] = {};
    }
    picture.epoch = 7;
    policy.well = 5s;
    policy.pause = 3s;
    policy.stage = 3s;
    make({});
  }
  void make(State state) {
    controller =
        std::make_unique<Controller>(cluster, policy, std::move(state), "node", 11, Times{now, WallTime{wall_ms()}});
  }
  std::int64_t wall_ms() const { return 1'700'000'000'000 + now.us / 1000; }
  // One look; the world does what it is told.
  Turn look(std::vector<Order> orders = {}) {
    now = now + 1s;
    for (const auto& [node, region] : cluster.nodes) {
      if (gone.contains(region) || deaf) continue;
      Observation o;
      o.node = node;
      for (const auto& [other, name] : cluster.regions) {
        const bool out = gone.contains(other) || ill.contains(other);
        o.scores[other] = out ? 0 : 100;
        if (out) o.out[other] = "it looks ill";
      }
      const RegionId leads = gone.contains(RegionId{1}) || picture.members[RegionId{1}].standing != Standing::kServing
                                 ? RegionId{2}
                                 : RegionId{1};
      o.groups.push_back({GroupId{0}, node_id(leads, 1), 0ms, 0ms});
      o.load.cores = 4;
      for (int i = 0; i < broken_parts; ++i) o.components["part " + std::to_string(i)] = 0;
      o.load.busy = busy;
      picture.seen[node] = {o, now};
    }
    if (!deaf) picture.members_at = now;
    Turn turn = controller->advance(picture, orders, now);
    if (turn.shares) picture.shares = *turn.shares;
    controller->written(now);
    for (const auto& entry : turn.log) told.push_back(entry.text);
    if (turn.effect) {
      effects.push_back(*turn.effect);
      if (answers) {
        if (turn.effect->kind == StepKind::kDrain)
          picture.members[turn.effect->region] = {Standing::kDraining, std::string(kController), true};
        if (turn.effect->kind == StepKind::kReadmit) picture.members[turn.effect->region] = {};
        controller->ended(*turn.effect, std::string("done"), now);
      }
    }
    return turn;
  }
  void look_for(int seconds) {
    for (int i = 0; i < seconds; ++i) look();
  }
  Order order(Order::Verb verb, std::uint64_t incident = 1, std::uint32_t plan = 0) {
    Order wanted;
    wanted.verb = verb;
    wanted.incident = incident;
    wanted.plan = plan;
    wanted.region = RegionId{3};
    wanted.by = "alice";
    wanted.at_ms = wall_ms();
    return wanted;
  }
  const Incident& incident() { return controller->state().incidents.back(); }
  int share(const char* region) { return picture.shares.of(region); }
  bool was_told(const std::string& what) {
    return std::ranges::any_of(told, [&](const std::string& text) { return text.find(what) != std::string::npos; });
  }

  Instant now{1'000'000'000};
  Cluster cluster;
  Picture picture;
  Policy policy;
  std::set<RegionId> gone, ill;
  double busy = 0.5;
  int broken_parts = 0;
  bool deaf = false, answers = true;
  std::vector<std::string> told;
  std::vector<Effect> effects;
  std::unique_ptr<Controller> controller;
};

TEST_F(ControllerTest, ARegionThatDiesIsRelievedAndGetsItsTrafficBackInStages) {
  gone.insert(RegionId{3});
  picture.members[RegionId{3}] = {Standing::kFenced, "attested", true};
  look_for(15);
  EXPECT_EQ(incident().phase, Phase::kStabilised);
  EXPECT_EQ(share("region-3"), 0);
  gone.clear();
  picture.members[RegionId{3}] = {};
  std::vector<int> shares;
  for (int i = 0; i < 60; ++i) {
    look();
    if (shares.empty() || shares.back() != share("region-3")) shares.push_back(share("region-3"));
  }
  EXPECT_EQ(shares, (std::vector<int>{0, 5, 25, 50, 100}));
  EXPECT_EQ(incident().phase, Phase::kClosed);
}

TEST_F(ControllerTest, WithoutEnoughOthersAPersonMustApproveAndTheLastIsNeverTakenOut) {
  picture.members[RegionId{2}] = {Standing::kFenced, "alice", true};
  ill.insert(RegionId{3});
  look_for(5);
  EXPECT_EQ(incident().phase, Phase::kApproval);
  EXPECT_EQ(share("region-3"), 100);
  picture.members[RegionId{1}] = {Standing::kDraining, "alice", true};
  look({order(Order::Verb::kApprove)});
  EXPECT_EQ(incident().phase, Phase::kApproval) << "nobody else would serve at all";
  EXPECT_TRUE(was_told("refused, though approved by alice"));
  picture.members[RegionId{1}] = {};
  look({order(Order::Verb::kApprove)});
  look_for(5);
  EXPECT_EQ(share("region-3"), 0);
  EXPECT_EQ(incident().approved_by, "alice");
}

TEST_F(ControllerTest, WhatTheOthersCannotCarryAsksForApproval) {
  busy = 2.3;  // 6.9 of the 8 processors that would be left
  ill.insert(RegionId{3});
  look_for(6);
  EXPECT_EQ(incident().phase, Phase::kApproval);
  EXPECT_NE(incident().note.find("could not carry"), std::string::npos);
}

TEST_F(ControllerTest, AnApprovalIsOfThePlanThatWasSeen) {
  policy.modes[Kind::kRegion] = Mode::kApproval;
  policy.approval = 10s;
  make({});
  ill.insert(RegionId{3});
  look_for(5);
  ASSERT_EQ(incident().plan, 1u);
  look_for(12);
  ASSERT_EQ(incident().plan, 2u) << "nobody approved in time";
  look({order(Order::Verb::kApprove, 1, 1)});
  EXPECT_EQ(incident().phase, Phase::kApproval);
  EXPECT_EQ(share("region-3"), 100);
  look({order(Order::Verb::kApprove, 1, 2)});
  EXPECT_EQ(incident().phase, Phase::kExecuting);
}

TEST_F(ControllerTest, WhatIsLeftToPersonsIsSeenAndLeft) {
  policy.modes[Kind::kRegion] = Mode::kManual;
  make({});
  ill.insert(RegionId{3});
  look_for(30);
  EXPECT_EQ(incident().phase, Phase::kConfirmed);
  EXPECT_EQ(share("region-3"), 100);
  EXPECT_TRUE(effects.empty());
  look({order(Order::Verb::kPlan)});
  look_for(5);
  EXPECT_EQ(share("region-3"), 0);
}

TEST_F(ControllerTest, WhatWasRejectedIsNotAskedForAgainUntilItHasBeenWell) {
  policy.modes[Kind::kRegion] = Mode::kApproval;
  make({});
  ill.insert(RegionId{3});
  look_for(5);
  look({order(Order::Verb::kReject)});
  look_for(60);
  EXPECT_EQ(controller->state().incidents.size(), 1u);
  EXPECT_EQ(incident().phase, Phase::kConfirmed);
  ill.clear();
  look_for(10);
  EXPECT_EQ(incident().phase, Phase::kClosed);
  ill.insert(RegionId{3});
  look_for(5);
  EXPECT_EQ(controller->state().incidents.size(), 2u);
  EXPECT_EQ(incident().phase, Phase::kApproval);
}

TEST_F(ControllerTest, WhatAPersonOrderedStaysUntilThePersonTakesItBack) {
  look();
  look({order(Order::Verb::kPlan)});
  look_for(120);
  EXPECT_EQ(incident().phase, Phase::kStabilised);
  EXPECT_EQ(share("region-3"), 0);
  EXPECT_EQ(picture.members[RegionId{3}].standing, Standing::kDraining);
  look({order(Order::Verb::kAbort)});
  look_for(60);
  EXPECT_EQ(incident().phase, Phase::kClosed);
  EXPECT_EQ(share("region-3"), 100);
  EXPECT_EQ(picture.members[RegionId{3}].standing, Standing::kServing);
}

TEST_F(ControllerTest, AnOrderThatIsOldIsRefused) {
  look();
  Order old = order(Order::Verb::kPlan);
  old.at_ms -= 61'000;
  const Turn turn = look({old});
  EXPECT_EQ(turn.orders.size(), 1u) << "it is dealt with, and goes";
  EXPECT_TRUE(controller->state().incidents.empty());
  EXPECT_TRUE(was_told("older than a minute"));
}

TEST_F(ControllerTest, WhoSeesNothingDecidesNothingAndBeginsToWatchAnew) {
  policy.confirm = 10s;
  make({});
  ill.insert(RegionId{3});
  look();
  deaf = true;
  look_for(30);
  EXPECT_NE(controller->refusal(), "");
  EXPECT_TRUE(controller->state().incidents.empty());
  deaf = false;
  look();
  EXPECT_EQ(controller->refusal(), "");
  EXPECT_TRUE(controller->state().incidents.empty()) << "that it was ill before is no time that it was seen to be";
  look_for(11);
  EXPECT_EQ(controller->state().incidents.size(), 1u);
}

TEST_F(ControllerTest, ASuccessorRepeatsWhatWasBegunUnderTheSameNameAndEpoch) {
  ill.insert(RegionId{3});
  while (effects.empty() || effects.back().kind != StepKind::kDrain) {
    answers = effects.empty();  // the others answer for its certificates; the drain is on its way for ever
    look();
    ASSERT_LT(now.us, 1'100'000'000) << "it came to drain the region";
    if (!effects.empty() && effects.back().kind == StepKind::kWarm && !answers)
      controller->ended(effects.back(), std::string("done"), now);
  }
  const Effect begun = effects.back();
  EXPECT_EQ(begun.epoch, 7u);
  const State written = controller->state();
  picture.epoch = 9;  // meanwhile
  effects.clear();
  make(written);
  look();
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].id, begun.id);
  EXPECT_EQ(effects[0].epoch, 7u) << "whoever's message arrives, it is one change, or none";
  controller->ended(effects[0], fail(Code::kConflict, "the membership has changed meanwhile"), now);
  look();
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(effects[1].epoch, 9u) << "refused for ever, it is begun anew";
  EXPECT_NE(effects[1].id, begun.id);
}

TEST_F(ControllerTest, HoweverMuchBreaksAtOnceATurnFitsIntoATransaction) {
  broken_parts = 30;  // of each of three nodes
  std::size_t most = 0;
  for (int i = 0; i < 60; ++i) most = std::max(most, look().log.size());
  EXPECT_LE(most, 90u);
  EXPECT_EQ(controller->state().incidents.size(), 90u) << "and nothing is forgotten";
  EXPECT_TRUE(std::ranges::all_of(controller->state().incidents,
                                  [](const Incident& one) { return one.phase == Phase::kStabilised; }));
}

TEST_F(ControllerTest, ARehearsalChangesNothingAndSaysWhyNot) {
  look();
  const auto rehearsal = rehearse(cluster, policy, picture, RegionId{3}, now);
  EXPECT_EQ(rehearsal.forbidden, "");
  EXPECT_GT(rehearsal.steps.size(), 5u);
  picture.members[RegionId{1}] = picture.members[RegionId{2}] = {Standing::kFenced, "alice", true};
  EXPECT_NE(rehearse(cluster, policy, picture, RegionId{3}, now).forbidden, "");
  EXPECT_TRUE(controller->state().incidents.empty());
}

}  // namespace
}  // namespace evercert::recovery
