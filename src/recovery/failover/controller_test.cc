// SPDX-License-Identifier: Apache-2.0
// What persons may expect of the controller, one promise at a time. What breaks in between is failover_sim_test.cc.
#include "recovery/failover/controller.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "recovery/failover/steps.h"

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
  // `age`: it has been the controller for so long.
  void make(State state, Duration age = 60s) {
    const Times started{now - age, WallTime{wall_ms() - age / 1ms}};
    controller = std::make_unique<Controller>(cluster, policy, std::move(state), "node", token, started);
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
        o.scores[other] = out && !recovered.contains(other) ? 0 : 100;
        if (out) o.out[other] = "it looks ill";
      }
      const RegionId leads = gone.contains(RegionId{1}) || picture.members[RegionId{1}].standing != Standing::kServing
                                 ? RegionId{2}
                                 : RegionId{1};
      o.groups.push_back({GroupId{0}, node_id(leads, 1), 0ms, 0ms});
      if (ill_nodes.contains(node)) o.components["HSM"] = 0;
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
          picture.members[turn.effect->region] = {Standing::kDraining, std::string(kController), true, {}};
        if (turn.effect->kind == StepKind::kReadmit) picture.members[turn.effect->region] = {};
        if (changes_membership(turn.effect->kind)) ++picture.epoch;
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
  // Alice, by 'evercert ctl region'.
  void says(RegionId region, Standing wanted) {
    ++picture.epoch;
    picture.members[region] = {wanted, "alice", true, {picture.epoch, wanted, "alice"}};
  }
  bool was_told(const std::string& what) {
    return std::ranges::any_of(told, [&](const std::string& text) { return text.find(what) != std::string::npos; });
  }

  Instant now{1'000'000'000};
  Cluster cluster;
  Picture picture;
  Policy policy;
  std::set<RegionId> gone, ill, recovered;  // recovered: the verdict about who is ill still holds
  std::set<NodeId> ill_nodes;
  double busy = 0.5;
  int broken_parts = 0;
  bool deaf = false, answers = true;
  std::int64_t token = 11;
  std::vector<std::string> told;
  std::vector<Effect> effects;
  std::unique_ptr<Controller> controller;
};

TEST_F(ControllerTest, ARegionThatDiesIsRelievedAndGetsItsTrafficBackInStages) {
  gone.insert(RegionId{3});
  picture.members[RegionId{3}] = {Standing::kFenced, "attested", true, {}};
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
  picture.members[RegionId{2}] = {Standing::kFenced, "alice", true, {}};
  ill.insert(RegionId{3});
  look_for(5);
  EXPECT_EQ(incident().phase, Phase::kApproval);
  EXPECT_EQ(share("region-3"), 100);
  picture.members[RegionId{1}] = {Standing::kDraining, "alice", true, {}};
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

TEST_F(ControllerTest, WhatIsOverIsNoReasonThoughTheVerdictStillHolds) {
  look_for(20);
  ill.insert(RegionId{3});
  look();
  recovered.insert(RegionId{3});
  look_for(20);
  EXPECT_TRUE(controller->state().incidents.empty());
  recovered.clear();
  look_for(6);
  EXPECT_EQ(controller->state().incidents.size(), 1u) << "it is ill again";
}

TEST_F(ControllerTest, ANewControllerTakesOutNoRegionThatAnswersForWhatMayBeTheEndOfATimeWithoutAMajority) {
  policy.well = 12s;
  make({}, 0s);
  ill.insert(RegionId{3});
  look_for(8);
  EXPECT_TRUE(controller->state().incidents.empty());
  recovered.insert(RegionId{3});
  look();
  recovered.clear();
  look_for(8);
  EXPECT_TRUE(controller->state().incidents.empty()) << "it was well in between";
  look_for(8);
  EXPECT_EQ(controller->state().incidents.size(), 1u) << "and now it is not";
}

TEST_F(ControllerTest, ASuccessorBeginsWhatIsLeftToDoAnewUnderItsOwnToken) {
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
  look();
  ASSERT_EQ(effects.size(), 2u) << "one that has had no answer yet is not asked again";
  const State written = controller->state();
  picture.epoch = 9;  // meanwhile
  effects.clear();
  token = 12;
  make(written);
  look();
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].epoch, 9u) << "of what it sees: nobody obeys its forerunner any more";
  EXPECT_EQ(effects[0].token, 12);
  EXPECT_NE(effects[0].id, begun.id);
  controller->ended(effects[0], fail(Code::kUnknownOutcome, "no answer"), now);
  look();
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(effects[1].id, effects[0].id) << "its own it repeats until it knows what became of it";
  EXPECT_EQ(effects[1].epoch, 9u);
  controller->ended(effects[1], fail(Code::kConflict, "the membership has changed meanwhile"), now);
  picture.epoch = 10;
  look();
  ASSERT_EQ(effects.size(), 3u);
  EXPECT_EQ(effects[2].epoch, 10u);
}

TEST_F(ControllerTest, ASuccessorDoesNotDoAgainWhatWasDone) {
  ill.insert(RegionId{3});
  while (effects.empty() || effects.back().kind != StepKind::kDrain) look();
  State written = controller->state();
  for (Step& step : written.incidents[0].steps) {
    if (step.kind == StepKind::kDrain) step.state = StepState::kRunning, step.epoch = 7;
  }
  effects.clear();
  make(written);
  look_for(10);
  EXPECT_TRUE(std::ranges::none_of(effects, [](const Effect& one) { return one.kind == StepKind::kDrain; }));
  EXPECT_EQ(incident().phase, Phase::kStabilised);
}

TEST_F(ControllerTest, APersonWhoPutsARegionBackEndsThePlanAndIsNotContradictedByWhatWasSeenBefore) {
  policy.well = 20s;
  make({});
  ill.insert(RegionId{3});
  look_for(20);
  ASSERT_EQ(incident().phase, Phase::kStabilised);
  ASSERT_EQ(picture.members[RegionId{3}].standing, Standing::kDraining);
  says(RegionId{3}, Standing::kServing);
  effects.clear();
  look_for(18);  // it is as ill as before
  EXPECT_EQ(incident().id, 1u) << "what was seen before is no new reason";
  EXPECT_EQ(share("region-3"), 100) << "its traffic is back, in stages";
  EXPECT_EQ(incident().phase, Phase::kClosed);
  EXPECT_NE(incident().outcome.find("alice: region-3 is to be serving"), std::string::npos) << incident().outcome;
  EXPECT_EQ(picture.members[RegionId{3}].standing, Standing::kServing);
  look_for(8);
  EXPECT_EQ(incident().id, 2u) << "it has lasted: that is a new reason";
}

TEST_F(ControllerTest, WhatAPersonPutBackIsWellUntilSomethingNewLasts) {
  policy.well = 10s;
  make({});
  look_for(2);
  says(RegionId{3}, Standing::kDraining);
  look_for(3);
  says(RegionId{3}, Standing::kServing);
  look_for(4);
  ill.insert(RegionId{3});
  look_for(8);
  EXPECT_TRUE(controller->state().incidents.empty()) << "too soon after a person's word";
  look_for(5);
  EXPECT_EQ(controller->state().incidents.size(), 1u);
}

TEST_F(ControllerTest, LongAfterAPersonsWordEvidenceCountsAsAlways) {
  policy.well = 10s;
  make({});
  says(RegionId{3}, Standing::kServing);
  look_for(12);
  ill.insert(RegionId{3});
  look_for(4);
  EXPECT_EQ(controller->state().incidents.size(), 1u);
}

TEST_F(ControllerTest, WhatAPersonTakesOutDuringAnIncidentStaysOut) {
  ill.insert(RegionId{3});
  look_for(20);
  ASSERT_EQ(incident().phase, Phase::kStabilised);
  says(RegionId{3}, Standing::kDraining);  // makes it his own
  ill.clear();
  effects.clear();
  look_for(60);
  EXPECT_TRUE(effects.empty()) << "it is not put back";
  EXPECT_EQ(share("region-3"), 0);
  EXPECT_NE(incident().note.find("by alice"), std::string::npos) << incident().note;
  says(RegionId{3}, Standing::kServing);
  look_for(60);
  EXPECT_EQ(share("region-3"), 100);
  EXPECT_EQ(incident().phase, Phase::kClosed);
}

TEST_F(ControllerTest, WhileTrafficReturnsAPersonWhoTakesTheRegionOutStopsIt) {
  ill.insert(RegionId{3});
  look_for(20);
  ill.clear();
  while (share("region-3") != 25) {
    look();
    ASSERT_LT(now.us, 1'200'000'000);
  }
  says(RegionId{3}, Standing::kFenced);
  look_for(60);
  EXPECT_EQ(share("region-3"), 25);
  EXPECT_EQ(incident().phase, Phase::kReturning);
}

TEST_F(ControllerTest, APersonMayHaveAllOfItBackAtOnce) {
  policy.pause = policy.stage = 30s;
  make({});
  ill.insert(RegionId{3});
  look_for(15);
  ASSERT_EQ(share("region-3"), 0);
  Order now_please = order(Order::Verb::kAbort);
  now_please.at_once = true;
  look({now_please});
  look_for(4);
  EXPECT_EQ(share("region-3"), 100);
}

TEST_F(ControllerTest, APlanThatIsUndoneBeforeItTookAnythingTakesNothing) {
  answers = false;  // the others are never ready
  ill.insert(RegionId{3});
  look_for(8);
  ASSERT_EQ(incident().phase, Phase::kExecuting);
  ASSERT_EQ(share("region-3"), 100);
  look({order(Order::Verb::kAbort)});
  for (int i = 0; i < 40; ++i) {
    look();
    EXPECT_EQ(share("region-3"), 100);
  }
}

TEST_F(ControllerTest, ANodeThatIsIllLosesItsTrafficToTheOthersOfItsRegionAndGetsItBackInStages) {
  const NodeId first = node_id(RegionId{3}, 1), second = node_id(RegionId{3}, 2);
  cluster.nodes[second] = RegionId{3};
  make({});
  look_for(2);
  ill_nodes.insert(first);
  look_for(8);
  EXPECT_EQ(incident().kind, Kind::kComponent);
  EXPECT_EQ(picture.shares.of_node("region-3/1"), 0);
  EXPECT_EQ(share("region-3"), 100);
  ill_nodes.insert(second);
  look_for(30);
  EXPECT_EQ(picture.shares.of_node("region-3/2"), 100) << "somebody goes on";
  ill_nodes.clear();
  std::vector<int> shares;
  for (int i = 0; i < 60; ++i) {
    look();
    const int has = picture.shares.of_node("region-3/1");
    if (shares.empty() || shares.back() != has) shares.push_back(has);
  }
  EXPECT_EQ(shares, (std::vector<int>{0, 5, 25, 50, 100}));
  EXPECT_TRUE(std::ranges::all_of(controller->state().incidents,
                                  [](const Incident& one) { return one.phase == Phase::kClosed; }));
}

TEST_F(ControllerTest, ANodeThatIsTakenAwayWhileItIsIllLeavesNoIncidentAndNoShare) {
  const NodeId second = node_id(RegionId{1}, 2);
  cluster.nodes[second] = RegionId{1};
  make({});
  ill_nodes = {second};
  for (int i = 0; i < 10; ++i) look();
  ASSERT_EQ(picture.shares.of_node("region-1/2"), 0);
  State state = controller->state();
  cluster.nodes.erase(second);
  picture.seen.erase(second);
  make(std::move(state));
  for (int i = 0; i < 3; ++i) look();
  EXPECT_FALSE(picture.shares.nodes.contains("region-1/2"));
  ASSERT_EQ(controller->state().incidents.size(), 1u);
  EXPECT_EQ(controller->state().incidents.front().phase, Phase::kClosed);
  EXPECT_EQ(controller->state().incidents.front().outcome, "region-1/2 is no node of the cluster any more");
}

TEST_F(ControllerTest, CapacityThatAnotherIncidentNeedsIsNotLetGo) {
  policy.regions_left = 1;
  policy.stages = {100};
  make({});
  picture.can_add = true;
  gone.insert(RegionId{3});
  picture.members[RegionId{3}] = {Standing::kFenced, "attested", true, {}};
  look_for(15);
  ASSERT_EQ(std::ranges::count(effects, StepKind::kAddCapacity, &Effect::kind), 1);
  picture.extra_workers = 1;  // it runs now
  ill.insert(RegionId{2});
  look_for(30);
  ASSERT_EQ(controller->state().incidents.size(), 2u);
  ASSERT_EQ(incident().phase, Phase::kStabilised);
  ill.clear();
  look_for(60);
  ASSERT_EQ(incident().phase, Phase::kClosed) << "the second one is over";
  EXPECT_EQ(std::ranges::count(effects, StepKind::kReleaseCapacity, &Effect::kind), 0) << "the first one is not";
  gone.clear();
  picture.members[RegionId{3}] = {};
  look_for(60);
  EXPECT_EQ(controller->state().incidents.front().phase, Phase::kClosed);
  EXPECT_EQ(std::ranges::count(effects, StepKind::kReleaseCapacity, &Effect::kind), 1);
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

TEST_F(ControllerTest, TheLogIsTrimmedFromItsBeginningAsThePolicySaysAndNeverToLessThanAHundred) {
  Order old = order(Order::Verb::kPlan);
  old.at_ms -= 3'600'000;  // refused, each with an entry
  std::vector<LogEntry> kept;
  for (int i = 0; i < 13; ++i) {
    for (auto& entry : look(std::vector<Order>(10, old)).log) kept.push_back(std::move(entry));
  }
  ASSERT_EQ(kept.size(), 130u);
  const auto trim = [&] {
    picture.oldest.assign(kept.begin(), kept.begin() + 20);
    const Turn turn = look();
    picture.oldest.clear();
    EXPECT_EQ(turn.anchor.has_value(), !turn.trimmed.empty());
    for (std::size_t i = 0; i < turn.trimmed.size(); ++i) EXPECT_EQ(turn.trimmed[i], kept[i].number);
    EXPECT_TRUE(!turn.anchor || turn.anchor->number == turn.trimmed.back());
    kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(turn.trimmed.size()));
    return turn.trimmed.size();
  };
  EXPECT_EQ(trim(), 0u) << "they are neither old nor many";
  policy.log_entries = 120;
  controller->set_policy(policy);
  EXPECT_EQ(trim(), 10u);
  EXPECT_EQ(trim(), 0u);
  policy.log_days = 1;
  controller->set_policy(policy);
  now = now + 25h;
  look();
  EXPECT_EQ(trim(), 16u) << "old enough, some at a time";
  EXPECT_EQ(trim(), 4u);
  EXPECT_EQ(trim(), 0u) << "a hundred stay";
  EXPECT_EQ(controller->state().log_from, kept.front().number);
}

TEST_F(ControllerTest, ARehearsalChangesNothingAndSaysWhyNot) {
  look();
  const auto rehearsal = rehearse(cluster, policy, picture, RegionId{3}, now);
  EXPECT_EQ(rehearsal.forbidden, "");
  EXPECT_GT(rehearsal.steps.size(), 5u);
  picture.members[RegionId{1}] = picture.members[RegionId{2}] = {Standing::kFenced, "alice", true, {}};
  EXPECT_NE(rehearse(cluster, policy, picture, RegionId{3}, now).forbidden, "");
  EXPECT_TRUE(controller->state().incidents.empty());
}

}  // namespace
}  // namespace evercert::recovery
