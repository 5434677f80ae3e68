// SPDX-License-Identifier: Apache-2.0
// What is written is read as it was written, and what is none is refused.
#include <gtest/gtest.h>

#include "recovery/failover/observation.h"
#include "recovery/failover/policy.h"
#include "recovery/failover/record.h"

namespace evercert::recovery {
namespace {

const Times kThen{Instant{500'000'000}, WallTime{1'700'000'000'000}};

TEST(ObservationDocument, IsReadAsItWasWritten) {
  Observation o;
  o.node = node_id(RegionId{3}, 2);
  o.scores[RegionId{1}] = 12.5;
  o.out[RegionId{1}] = "api 0 of 1";
  o.nodes[node_id(RegionId{1}, 1)] = 0;
  o.components["HSM"] = 50;
  o.silent[node_id(RegionId{1}, 1)] = 6s;
  o.groups.push_back({GroupId{2}, NodeId{}, 3s, 120ms});
  o.load = {3, 120.5, 0.25, 80ms, 1.5, 4, 0.75, 2, 12, 90, 3, 1};
  o.extra = 1;
  o.spare = 2;
  o.wanted = 1;
  o.wanted_token = 71;
  o.queued = 7;
  o.queue_in_order = false;
  const auto read = parse_observation(to_json(o));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(o));
  EXPECT_EQ(read->silent.at(node_id(RegionId{1}, 1)), 6s);
  EXPECT_EQ(read->groups.at(0).leaderless, 3s);
  EXPECT_EQ(read->load.edge_busy, 0.75);
  EXPECT_EQ(read->load.edge_cores, 2);
  EXPECT_EQ(read->load.signs, 12);
  EXPECT_EQ(read->load.most_signs, 90);
  EXPECT_EQ(read->load.edges, 3);
  EXPECT_EQ(read->load.edges_answering, 1);
  EXPECT_EQ(read->wanted, 1);
  EXPECT_EQ(read->wanted_token, 71);
  EXPECT_FALSE(read->queue_in_order);
}

TEST(ObservationDocument, WhatIsNoneIsRefused) {
  for (const char* bad :
       {"", "[]", "{}", R"({"node":0})", R"({"node":70000})", R"({"node":257,"scores":{"0":1}})",
        R"({"node":257,"scores":{"1":101}})", R"({"node":257,"scores":{"1":"x"}})", R"({"node":257,"scores":{"01":1}})",
        R"({"node":257,"out":{"1":5}})", R"({"node":257,"silent_ms":{"257":-1}})",
        R"({"node":257,"groups":[{"group":300}]})", R"({"node":257,"groups":[5]})",
        R"({"node":257,"load":{"errors":1.5}})", R"({"node":257,"load":{"rate":-1}})", R"({"node":257,"queued":-1})",
        R"({"node":257,"queue_in_order":1})", R"({"node":257,"components":{"":1}})"})
    EXPECT_FALSE(parse_observation(bad)) << bad;
  EXPECT_FALSE(parse_observation(std::string(kLargestObservation + 1, ' ')));
}

TEST(PolicyDocument, WhatIsLeftOutIsAsUsual) {
  const auto policy = parse_policy(R"({"modes":{"zone":"manual"},"pause_seconds":45,"stages":[10,100]})");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->modes.at(Kind::kZone), Mode::kManual);
  EXPECT_EQ(policy->modes.at(Kind::kRegion), Mode::kAutomatic);
  EXPECT_EQ(policy->pause, 45s);
  EXPECT_EQ(policy->stages, (std::vector<int>{10, 100}));
  EXPECT_EQ(policy->regions_left, 2);
  EXPECT_EQ(to_json(*parse_policy(to_json(*policy))), to_json(*policy));
}

TEST(PolicyDocument, WhatIsWrongIsRefusedWithItsName) {
  for (const char* bad :
       {"", "{", "[]", R"({"pause":5})", R"({"modes":{"planet":"manual"}})", R"({"modes":{"zone":5}})",
        R"({"regions_left":0})", R"({"utilisation":1.5})", R"({"stale_seconds":1})", R"({"stages":[]})",
        R"({"stages":[50,25,100]})", R"({"stages":[5,50]})", R"({"stages":[0,100]})", R"({"slo_errors":-0.1})",
        R"({"slo_p99_ms":"fast"})"})
    EXPECT_FALSE(parse_policy(bad)) << bad;
  EXPECT_NE(parse_policy(R"({"regions_left":0})").error().message.find("'regions_left'"), std::string::npos);
}

State state_with_all() {
  State state;
  Incident incident;
  incident.id = 3;
  incident.kind = Kind::kRegion;
  incident.subject = "eu-central-1";
  incident.region = RegionId{3};
  incident.phase = Phase::kExecuting;
  incident.plan = 2;
  incident.evidence = "two say so";
  incident.ordered_by = "alice";
  incident.alive = incident.undo = incident.at_once = true;
  incident.ended_by = "bob: eu-central-1 is to be serving, epoch 9";
  state.words[RegionId{3}] = {9, kThen.now - 20s};
  incident.fell_back = 4;
  incident.opened = kThen.now - 60s;
  incident.changed = kThen.now - 5s;
  Step step;
  step.kind = StepKind::kDrain;
  step.region = RegionId{3};
  step.state = StepState::kRunning;
  step.epoch = 17;
  step.attempts = 2;
  step.begun = kThen.now - 4s;
  incident.steps.push_back(step);
  state.incidents.push_back(incident);
  state.next_incident = 4;
  state.logged = 9;
  state.log_hash = std::string(64, 'a');
  state.changes[RegionId{3}].at = kThen.now - 20s;
  return state;
}

TEST(StateDocument, ASuccessorReadsWhatWasWrittenWithItsOwnClock) {
  const Cluster cluster{{{RegionId{3}, "eu-central-1"}}, {}};
  const std::string written = to_json(state_with_all(), kThen, cluster);
  // Another process, ten seconds later.
  const Times later{Instant{7'000'000}, WallTime{kThen.wall.ms + 10'000}};
  const auto read = parse_state(written, later);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_json(*read, later, cluster), written);
  EXPECT_EQ(later.now - read->changes.at(RegionId{3}).at, 30s);
  EXPECT_EQ(read->incidents.at(0).steps.at(0).epoch, 17u) << "what was begun is known";
}

TEST(StateDocument, ATimeThatLiesAheadCountsAsNow) {
  const std::string written = to_json(state_with_all(), kThen, {});
  const Times slow{Instant{7'000'000}, WallTime{kThen.wall.ms - 3'600'000}};
  const auto read = parse_state(written, slow);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->changes.at(RegionId{3}).at, slow.now);
}

TEST(StateDocument, WhatIsNotUnderstoodIsNotActedOn) {
  EXPECT_FALSE(parse_state("{}", kThen));
  EXPECT_FALSE(parse_state(R"({"version":2})", kThen));
  EXPECT_TRUE(parse_state(R"({"version":1})", kThen));
  std::string written = to_json(state_with_all(), kThen, {});
  written.replace(written.find("executing"), 9, "wandering");
  EXPECT_FALSE(parse_state(written, kThen));
}

TEST(Log, WhoeverChangesIsFound) {
  std::vector<LogEntry> entries;
  std::string before;
  for (std::uint64_t n = 1; n <= 5; ++n) {
    LogEntry& entry = entries.emplace_back();
    entry.number = n;
    entry.at_ms = static_cast<std::int64_t>(n);
    entry.text = "step " + std::to_string(n);
    seal(entry, before);
    before = entry.hash;
  }
  ASSERT_TRUE(verify(entries));
  for (auto& entry : entries) entry = *parse_entry(to_json(entry));
  ASSERT_TRUE(verify(entries)) << "as it is read";
  ASSERT_TRUE(verify({entries.begin() + 2, entries.end()})) << "the end of it alone";
  auto changed = entries;
  changed[2].evidence = "another";
  EXPECT_FALSE(verify(changed));
  auto resealed = entries;
  resealed[2].text = "another";
  seal(resealed[2], resealed[1].hash);
  EXPECT_FALSE(verify(resealed)) << "the next one holds the hash of the old";
  auto missing = entries;
  missing.erase(missing.begin() + 1);
  EXPECT_FALSE(verify(missing));
}

TEST(OrderDocument, IsReadAsItWasWritten) {
  Order order;
  order.verb = Order::Verb::kApprove;
  order.incident = 3;
  order.plan = 2;
  order.by = "alice";
  order.reason = "seen";
  order.at_ms = 5;
  const auto read = parse_order(to_json(order));
  ASSERT_TRUE(read);
  EXPECT_EQ(to_json(*read), to_json(order));
  EXPECT_FALSE(parse_order("{}"));
  EXPECT_FALSE(parse_order(R"({"verb":"explode"})"));
}

TEST(LogAnchor, IsReadAsItWasWrittenAndWhatIsNoneIsRefused) {
  LogAnchor anchor;
  anchor.last.number = 7;
  anchor.last.text = "done";
  seal(anchor.last, "before");
  anchor.last.signature = {"a", "b"};
  anchor.by = "us-east-1/1";
  anchor.at_ms = 17;
  anchor.signature = {"c", "d"};
  const auto read = parse_anchor(to_json(anchor));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(anchor));
  EXPECT_EQ(signed_text(*read), signed_text(anchor));
  EXPECT_NE(signed_text(anchor), signed_text(anchor.last));
  for (const char* bad : {"", "[]", R"({"last":5})", R"({"last":{"number":-1}})", R"({"last":{},"at_ms":"now"})"})
    EXPECT_FALSE(parse_anchor(bad)) << bad;
}

}  // namespace
}  // namespace evercert::recovery
