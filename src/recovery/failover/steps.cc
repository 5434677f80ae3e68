// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/steps.h"

#include <algorithm>
#include <map>

namespace evercert::recovery {
namespace {

constexpr double kEnoughRequests = 1;  // a second: fewer say nothing about a region

Step step_of(StepKind kind, const Incident& incident, int share = 0) {
  Step step;
  step.kind = kind;
  step.region = incident.region;
  step.share = share;
  const bool of_a_node = incident.kind == Kind::kZone || incident.kind == Kind::kComponent;
  if (of_a_node && (kind == StepKind::kDivert || kind == StepKind::kShare)) step.node = incident.node;
  return step;
}

// Every group has a leader; not one of the region's where that is to be relieved.
Judgement judge_leaders(const Step& step, const Incident& incident, const Sight& sight) {
  const bool relieved = incident.kind == Kind::kRegion;
  std::map<GroupId, std::map<NodeId, int>> words;
  for (const Observation* one : sight.all()) {
    if (relieved && region_of(one->node) == step.region) continue;
    for (const auto& group : one->groups) ++words[group.group][group.leader];
  }
  if (words.empty()) return {Verdict::kWait, "nobody tells of its groups"};
  std::string leaders;
  for (const auto& [group, named] : words) {
    const auto most = std::ranges::max_element(named, {}, [](const auto& word) { return word.second; });
    const std::string of =
        group == kGlobalGroup ? "global" : sight.name(RegionId{static_cast<std::uint8_t>(group.value)});
    if (most->first == NodeId{}) return {Verdict::kWait, "group " + of + " has no leader"};
    if (relieved && region_of(most->first) == step.region)
      return {Verdict::kWait, "group " + of + " is led by " + sight.name(most->first)};
    leaders += (leaders.empty() ? "" : ", ") + of + " by " + sight.name(most->first);
  }
  return {Verdict::kDone, "led: " + leaders};
}

Judgement judge_queues(const Step& step, const Sight& sight) {
  std::uint64_t waiting = 0;
  for (const Observation* one : sight.all()) {
    if (!one->queue_in_order)
      return {Verdict::kFail, "the queue of " + sight.name(one->node) + " is out of order: see 'evercert ctl status'"};
    waiting += one->queued;
  }
  std::string evidence = std::to_string(waiting) + " operations wait on nodes that answer";
  // Of a region that is gone: what it said last.
  std::uint64_t there = 0;
  for (const auto& [node, seen] : sight.picture.seen) {
    if (region_of(node) == step.region && sight.of(node) == nullptr) there += seen.what.queued;
  }
  if (there > 0) evidence += "; " + std::to_string(there) + " lie on disks in " + sight.name(step.region) + ", durably";
  return {Verdict::kDone, evidence};
}

Judgement judge_redundancy(const Incident& incident, const Sight& sight) {
  std::string others;
  for (const Observation* one : sight.of(incident.region)) {
    if (one->node == incident.node) continue;
    const bool down = std::ranges::any_of(one->components, [](const auto& part) { return part.second <= 0; });
    if (!down) others += (others.empty() ? "" : ", ") + sight.name(one->node);
  }
  if (others.empty()) return {Verdict::kWait, "no other node of " + sight.name(incident.region) + " is well"};
  return {Verdict::kDone, "well: " + others};
}

Judgement judge_requests(const Step& step, const Sight& sight) {
  const auto nodes = sight.of(step.region);
  if (nodes.empty())
    return {Verdict::kDone, "nobody answers there: what was in flight is repeated elsewhere, under its own request id"};
  std::uint64_t in_flight = 0;
  for (const Observation* one : nodes) in_flight += one->load.in_flight;
  if (in_flight > nodes.size()) return {Verdict::kWait, "requests are in flight"};
  return {Verdict::kDone, std::to_string(in_flight) + " requests in flight"};
}

Judgement judge_fence(const Step& step, const Incident& incident, const Sight& sight) {
  if (incident.alive) return {Verdict::kSkip, "the region answers: it is drained, not fenced"};
  const Member member = sight.member(step.region);
  if (member.standing != Standing::kFenced) return {Verdict::kWait, "the store has not fenced it yet"};
  if (!member.carried_out) return {Verdict::kWait, "the fence is not carried out in all groups yet"};
  return {Verdict::kDone, "fenced by " + member.by + ", carried out in all groups"};
}

Judgement judge_drain(const Step& step, const Sight& sight) {
  const Member member = sight.member(step.region);
  if (member.standing == Standing::kServing) return {Verdict::kAct, "it serves by the store's record"};
  if (member.standing == Standing::kDraining && member.by == kController) return {Verdict::kDone, "drained"};
  return {Verdict::kSkip, "it is " + std::string(to_string(member.standing)) + " already, by " + member.by};
}

Judgement judge_readmit(const Step& step, const Sight& sight) {
  const Member member = sight.member(step.region);
  const std::string name = sight.name(step.region);
  if (member.standing == Standing::kServing) return {Verdict::kDone, "it serves"};
  if (member.standing == Standing::kDraining && (member.by == kController || sight.bug == Bug::kOverridePerson))
    return {Verdict::kAct, "this controller had drained it"};
  if (member.standing == Standing::kFenced && member.by == "attested")
    return {Verdict::kWait, "the store admits it again when it has caught up"};
  return {Verdict::kWait, "it is " + std::string(to_string(member.standing)) + " by " + member.by +
                              ": 'evercert ctl region unfence " + name + "' puts it back"};
}

// Of what is led there, whether a region or a node.
Judgement judge_watched(const Step& step, const Sight& sight) {
  if (step.kind == StepKind::kDivert) return {Verdict::kDone, "its share is 0 %"};
  if (step.state != StepState::kRunning || sight.now - step.begun < sight.policy.stage)
    return {Verdict::kWait, "is watched"};
  std::string evidence;
  gets_worse(step, sight, evidence);
  return {Verdict::kDone, evidence};
}

// A node's traffic goes to the others of its region: never from the last that is well.
Judgement judge_node_share(const Step& step, const Sight& sight) {
  const int share = share_of(step, sight);
  if (step.kind == StepKind::kDivert && share > 0 && !sight.has_stand_in(step.node) && sight.bug != Bug::kLastRegion)
    return {Verdict::kWait, "no other node of " + sight.name(step.region) + " is well and gets traffic"};
  if (share != step.share) return {Verdict::kAct, "its share is to be " + std::to_string(step.share) + " %"};
  return judge_watched(step, sight);
}

Judgement judge_share(const Step& step, const Incident& incident, const Sight& sight) {
  const int share = share_of(step, sight);
  if (step.kind == StepKind::kShare && step.state == StepState::kWaiting && (share > step.share || share == 100))
    return {Verdict::kSkip, "it has so much already"};
  // Another incident about the same node has given back more meanwhile: what returns is never taken for a stage's sake.
  if (step.kind == StepKind::kShare && share > step.share) return judge_watched(step, sight);
  if (step.node != NodeId{}) return judge_node_share(step, sight);
  const std::string name = sight.name(step.region);
  const Member member = sight.member(step.region);
  if (step.kind == StepKind::kShare && member.standing != Standing::kServing && sight.bug != Bug::kOverridePerson)
    return {Verdict::kWait, "it is " + std::string(to_string(member.standing)) + " by " + member.by + " meanwhile"};
  if (sight.picture.shares.of(name) != step.share) {
    if (step.share == 0) {
      const bool person = !incident.approved_by.empty() || !incident.ordered_by.empty();
      const std::string why = forbids_taking_out(step.region, person, incident.alive, sight);
      if (!why.empty()) return {Verdict::kWait, why};
      // The plan may be old: what it was made for must still be so.
      if (!person && sight.picture.shares.of(name) == 100 && !sight.confirmed_out(step.region))
        return {Verdict::kWait, "it is not out at present"};
    }
    return {Verdict::kAct, "its share is to be " + std::to_string(step.share) + " %"};
  }
  return judge_watched(step, sight);
}

}  // namespace

int share_of(const Step& step, const Sight& sight) {
  const traffic::Shares& shares = sight.picture.shares;
  return step.node == NodeId{} ? shares.of(sight.name(step.region)) : shares.of_node(sight.name(step.node));
}

std::vector<Step> plan_for(const Incident& incident) {
  std::vector<StepKind> kinds;
  switch (incident.kind) {
    case Kind::kRegion:
      if (incident.alive) {
        // It serves badly, but serves: whoever is to take over is made ready first.
        kinds = {StepKind::kAddCapacity, StepKind::kWarm,          StepKind::kDivert, StepKind::kDrain,
                 StepKind::kLeaders,     StepKind::kAwaitRequests, StepKind::kQueues};
      } else {
        kinds = {StepKind::kDivert,  StepKind::kAddCapacity, StepKind::kConfirmFence,  StepKind::kDrain,
                 StepKind::kLeaders, StepKind::kWarm,        StepKind::kAwaitRequests, StepKind::kQueues};
      }
      break;
    case Kind::kZone:
      kinds = {StepKind::kRedundancy, StepKind::kDivert, StepKind::kAddCapacity, StepKind::kLeaders, StepKind::kQueues};
      break;
    case Kind::kComponent: kinds = {StepKind::kRedundancy, StepKind::kDivert}; break;
    case Kind::kPartition: kinds = {StepKind::kLeaders, StepKind::kQueues}; break;
    case Kind::kDatabase: kinds = {StepKind::kLeaders, StepKind::kQueues}; break;
  }
  std::vector<Step> steps;
  for (const StepKind kind : kinds) steps.push_back(step_of(kind, incident));
  return steps;
}

std::vector<Step> plan_return(const Incident& incident, const Policy& policy) {
  std::vector<Step> steps;
  if (incident.kind == Kind::kRegion) steps.push_back(step_of(StepKind::kReadmit, incident));
  const std::vector<int> at_once{100};
  for (const int share : incident.at_once ? at_once : policy.stages) {
    if (moves_traffic(incident.kind)) steps.push_back(step_of(StepKind::kShare, incident, share));
  }
  if (incident.kind == Kind::kRegion || incident.kind == Kind::kZone)
    steps.push_back(step_of(StepKind::kReleaseCapacity, incident));
  return steps;
}

std::string forbids_taking_out(RegionId region, bool by_person, bool alive, const Sight& sight) {
  if (sight.bug == Bug::kLastRegion) return "";
  const int others = sight.others_serving(region);
  const int needed = by_person ? 1 : sight.policy.regions_left;
  if (others < needed)
    return "only " + std::to_string(others) + " other regions would serve, and " + std::to_string(needed) + " must";
  // Who does not answer serves nobody: to lead traffic there would help nobody.
  if (by_person || !alive) return "";
  if (sight.utilisation_without(region) > sight.policy.utilisation)
    return "the others could not carry its load ('evercert ctl capacity')";
  return "";
}

Judgement judge(const Step& step, const Incident& incident, const Sight& sight) {
  switch (step.kind) {
    case StepKind::kAddCapacity:
      if (sight.picture.extra_workers > 0)
        return {Verdict::kDone, std::to_string(sight.picture.extra_workers) + " more workers run"};
      if (!sight.picture.can_add) return {Verdict::kSkip, "no driver can start any"};
      return {Verdict::kAct, "a driver can start some"};
    case StepKind::kReleaseCapacity:
      if (sight.picture.extra_workers == 0) return {Verdict::kSkip, "there is none"};
      return {Verdict::kAct, std::to_string(sight.picture.extra_workers) + " more workers run"};
    case StepKind::kWarm: return {Verdict::kAct, "the others are asked"};
    case StepKind::kDivert:
    case StepKind::kShare: return judge_share(step, incident, sight);
    case StepKind::kAwaitRequests: return judge_requests(step, sight);
    case StepKind::kConfirmFence: return judge_fence(step, incident, sight);
    case StepKind::kDrain: return judge_drain(step, sight);
    case StepKind::kLeaders: return judge_leaders(step, incident, sight);
    case StepKind::kQueues: return judge_queues(step, sight);
    case StepKind::kRedundancy: return judge_redundancy(incident, sight);
    case StepKind::kReadmit: return judge_readmit(step, sight);
  }
  return {};
}

bool changes_membership(StepKind kind) { return kind == StepKind::kDrain || kind == StepKind::kReadmit; }

bool has_effect(StepKind kind) {
  return changes_membership(kind) || kind == StepKind::kWarm || kind == StepKind::kAddCapacity ||
         kind == StepKind::kReleaseCapacity;
}

std::optional<Duration> patience(const Step& step, const Policy& policy) {
  // A node that cannot be spared keeps its traffic.
  if (step.kind == StepKind::kDivert && step.node != NodeId{}) return policy.pause + 10s;
  switch (step.kind) {
    case StepKind::kAwaitRequests: return policy.requests;
    case StepKind::kWarm:
    case StepKind::kLeaders: return 30s;
    case StepKind::kConfirmFence: return 20s;
    case StepKind::kAddCapacity:
    case StepKind::kReleaseCapacity:
    case StepKind::kQueues:
    case StepKind::kRedundancy: return 10s;
    case StepKind::kDivert:
    case StepKind::kDrain:
    case StepKind::kReadmit:
    case StepKind::kShare: return std::nullopt;
  }
  return std::nullopt;
}

bool halts(const Step& step, const Incident& incident) {
  return (step.kind == StepKind::kWarm && incident.alive) || step.kind == StepKind::kDrain;
}

std::string gets_worse(const Step& step, const Sight& sight, std::string& evidence) {
  if (sight.bug == Bug::kNoStepBack) return "";
  const bool of_a_node = step.node != NodeId{};
  if (of_a_node && sight.ill(step.node)) return sight.name(step.node) + " is ill again";
  if (!of_a_node && sight.confirmed_out(step.region)) return sight.name(step.region) + " is out again";
  double rate = 0, errors = 0;
  Duration p99{0};
  for (const Observation* one : sight.of(step.region)) {
    if (of_a_node && one->node != step.node) continue;
    rate += one->load.rate;
    errors += one->load.rate * one->load.errors;
    p99 = std::max(p99, one->load.p99);
  }
  if (rate < kEnoughRequests) {
    evidence = "less than a request a second: nothing to judge by";
    return "";
  }
  const double share = errors / rate;
  const auto shown = [](double value) { return std::to_string(value).substr(0, 5); };
  evidence = shown(rate) + " requests/s, " + shown(share * 100) + " % errors, p99 " +
             std::to_string(p99.count() / 1000) + " ms";
  if (share > sight.policy.slo_errors) return "errors: " + evidence;
  if (p99 > sight.policy.slo_p99) return "slow: " + evidence;
  return "";
}

}  // namespace evercert::recovery
