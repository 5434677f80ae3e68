// SPDX-License-Identifier: Apache-2.0
// How an incident goes on.
#include <algorithm>

#include "recovery/failover/controller.h"
#include "recovery/failover/steps.h"

namespace evercert::recovery {

// Whether what it is about has been well, without a break, for so long.
bool Controller::well_for_long(const Incident& incident, Duration hold, const Sight& sight) {
  bool well = !found_since_.contains({incident.kind, incident.subject});
  if (incident.kind == Kind::kRegion) well = well && sight.well(incident.region);
  // A node of a region that is out is not told of by itself.
  if (incident.kind == Kind::kZone || incident.kind == Kind::kComponent)
    well = well && sight.of(incident.node) != nullptr && !sight.confirmed_out(incident.region);
  if (!well) {
    well_since_.erase(incident.id);
    return false;
  }
  const Instant since = well_since_.try_emplace(incident.id, sight.now).first->second;
  return sight.now - since >= hold;
}

namespace {

// It has added some, and has not let it go yet.
bool needs_capacity(const Incident& incident) {
  const auto has = [&](StepKind kind, auto counts) {
    return std::ranges::any_of(incident.steps,
                               [&](const Step& step) { return step.kind == kind && counts(step.state); });
  };
  const auto begun = [](StepState state) { return state == StepState::kRunning || state == StepState::kDone; };
  const auto ahead = [](StepState state) { return state == StepState::kWaiting || state == StepState::kRunning; };
  switch (incident.phase) {
    case Phase::kExecuting:
    case Phase::kStabilised: return has(StepKind::kAddCapacity, begun);
    case Phase::kReturning: return has(StepKind::kReleaseCapacity, ahead);
    default: return false;
  }
}

// What is left of its traffic, in per cent.
int share_left(const Incident& incident, const Sight& sight) {
  const traffic::Shares& shares = sight.picture.shares;
  if (incident.kind == Kind::kRegion) return shares.of(sight.name(incident.region));
  return moves_traffic(incident.kind) ? shares.of_node(sight.name(incident.node)) : 100;
}

// Something was taken from the region or node, and is to be given back.
bool relieved(const Incident& incident, const Sight& sight) {
  const Member member = sight.member(incident.region);
  const bool drained =
      incident.kind == Kind::kRegion && member.standing == Standing::kDraining && member.by == kController;
  return drained || share_left(incident, sight) != 100;
}

}  // namespace

// Whoever is no node of the cluster any more has no traffic to give back, and is not waited for.
bool Controller::let_go(Incident& incident, const Sight& sight) {
  const bool of_a_node = incident.kind == Kind::kZone || incident.kind == Kind::kComponent;
  if (!of_a_node || cluster_.nodes.contains(incident.node) || pending(incident)) return false;
  if (share_left(incident, sight) != 100) {
    if (turn_.shares) return true;  // one change of traffic in a turn
    traffic::Shares shares = sight.picture.shares;
    shares.nodes.erase(sight.name(incident.node));
    shares.by = "failover " + name_of(incident) + ": " + sight.name(incident.node) + " is no node any more";
    turn_.shares = std::move(shares);
  }
  close(incident, sight.name(incident.node) + " is no node of the cluster any more", sight.now);
  return true;
}

void Controller::progress(Incident& incident, const Sight& sight) {
  if (let_go(incident, sight)) return;
  const Duration hold = policy_.well * (1 << std::min<std::uint32_t>(incident.fell_back, 3));
  const auto share_steps = std::ranges::count(incident.steps, StepKind::kShare, &Step::kind);
  switch (incident.phase) {
    case Phase::kConfirmed:
    case Phase::kApproval:
      if (!incident.ended_by.empty() && !pending(incident)) {
        if (relieved(incident, sight)) return begin_return(incident, sight.now);
        return close(incident, "ended by " + incident.ended_by, sight.now);
      }
      if (!well_for_long(incident, hold, sight)) return decide(incident, sight);
      if (pending(incident)) return;
      if (relieved(incident, sight)) return begin_return(incident, sight.now);
      return close(incident, "well again before anything was done", sight.now);
    case Phase::kExecuting:
      if (incident.undo && !pending(incident)) return begin_return(incident, sight.now);
      // Its traffic has not been taken away yet, and need not be any more.
      if (incident.ordered_by.empty() && well_for_long(incident, hold, sight) && !pending(incident) &&
          share_left(incident, sight) > 0)
        return begin_return(incident, sight.now);
      return run(incident, sight);
    case Phase::kStabilised: {
      if (incident.undo) return begin_return(incident, sight.now);
      if (!incident.ordered_by.empty())
        return note(incident, "until 'evercert ctl failover abort " + name_of(incident) + "', as it was ordered by " +
                                  incident.ordered_by);
      if (well_for_long(incident, hold, sight)) return begin_return(incident, sight.now);
      const bool seen_well = well_since_.contains(incident.id);
      return note(incident, seen_well ? "well; traffic returns when it stays so for " + std::to_string(hold / 1s) + " s"
                                      : "until it is well");
    }
    case Phase::kReturning:
      // A person has no patience with the stages that are left.
      if (incident.at_once && share_steps > 1 && !pending(incident)) begin_return(incident, sight.now);
      return run(incident, sight);
    case Phase::kClosed: return;
  }
}

// Confirmed, and nothing done yet: may it begin?
void Controller::decide(Incident& incident, const Sight& sight) {
  if (incident.undo) return;
  if (incident.phase == Phase::kApproval) {
    if (sight.now - incident.changed < policy_.approval) return;
    ++incident.plan;
    incident.alive = sight.heard(incident.region);
    incident.steps = plan_for(incident);
    return enter(incident, Phase::kApproval, "nobody approved in time: the plan is made anew, as things are now",
                 sight.now);
  }
  const Mode mode = policy_.modes.at(incident.kind);
  if (mode == Mode::kManual)
    return note(incident,
                "the policy leaves it to a person: 'evercert ctl failover plan " + sight.name(incident.region) + "'");
  if (incident.kind == Kind::kRegion) incident.alive = sight.heard(incident.region);
  incident.steps = plan_for(incident);
  std::string why = mode == Mode::kApproval ? "the policy asks for it" : "";
  if (why.empty() && incident.kind == Kind::kRegion)
    why = forbids_taking_out(incident.region, false, incident.alive, sight);
  if (why.empty()) return enter(incident, Phase::kExecuting, "by policy", sight.now);
  enter(incident, Phase::kApproval, why, sight.now);
  ask(incident, why);
}

void Controller::ask(Incident& incident, const std::string& why) {
  note(incident, why + ": 'evercert ctl failover approve " + name_of(incident) + "." + std::to_string(incident.plan) +
                     "', or 'reject'");
}

void Controller::run(Incident& incident, const Sight& sight) {
  const bool returning = incident.phase == Phase::kReturning;
  const bool again = incident.kind == Kind::kRegion ? sight.confirmed_out(incident.region)
                                                    : found_since_.contains({incident.kind, incident.subject});
  if (returning && !incident.undo && moves_traffic(incident.kind) && again && !pending(incident) &&
      bug_ != Bug::kNoStepBack)
    return fall_back(incident, incident.subject + (incident.kind == Kind::kRegion ? " is out again" : " is ill again"),
                     sight);
  for (std::size_t at = 0; at < incident.steps.size(); ++at) {
    const StepState state = incident.steps[at].state;
    if (state != StepState::kWaiting && state != StepState::kRunning) continue;
    if (!run_step(incident, at, sight)) return;
    // A plan that was stopped, or made anew.
    if (incident.phase != Phase::kExecuting && incident.phase != Phase::kReturning) return;
  }
  if (!returning) return enter(incident, Phase::kStabilised, "all steps have ended", sight.now);
  const bool still = found_since_.contains({incident.kind, incident.subject});
  if (!incident.ended_by.empty()) return close(incident, "ended by " + incident.ended_by, sight.now);
  if (still && incident.undo) {
    incident.steps.clear();
    return enter(incident, Phase::kConfirmed,
                 "undone by a person, and not well: nothing more is done about it until it is", sight.now);
  }
  close(incident, incident.undo ? "undone by a person" : "well again", sight.now);
}

// True: the step has ended, and the next may begin.
bool Controller::run_step(Incident& incident, std::size_t at, const Sight& sight) {
  Step& step = incident.steps[at];
  // What an earlier turn has begun at the store.
  if (step.epoch != 0) {
    if (!under_way_) act(incident, at, sight, step.evidence);
    return false;
  }
  if (step.kind == StepKind::kShare && step.state == StepState::kRunning && !incident.undo) {
    std::string evidence;
    const std::string worse = gets_worse(step, sight, evidence);
    if (!worse.empty()) {
      fall_back(incident, worse, sight);
      return false;
    }
  }
  Judgement judgement = judge(step, incident, sight);
  if (step.kind == StepKind::kReleaseCapacity && judgement.verdict == Verdict::kAct) {
    // Two incidents may need it, and there is only one number of workers: whoever ends last lets them go.
    const auto other = std::ranges::find_if(
        state_.incidents, [&](const Incident& one) { return one.id != incident.id && needs_capacity(one); });
    if (other != state_.incidents.end()) judgement = {Verdict::kSkip, name_of(*other) + " needs it still"};
  }
  if (step.state == StepState::kWaiting) {
    if (judgement.verdict == Verdict::kSkip) {
      end_step(incident, at, StepState::kSkipped, judgement.evidence, sight.now);
      return true;
    }
    step.state = StepState::kRunning;
    step.begun = sight.now;
    log(&incident, "begins: " + describe(step, cluster_), judgement.evidence, sight.now);
  }
  const auto limit = patience(step, policy_);
  switch (judgement.verdict) {
    case Verdict::kSkip:
    case Verdict::kDone: end_step(incident, at, StepState::kDone, judgement.evidence, sight.now); return true;
    case Verdict::kFail:
      end_step(incident, at, StepState::kFailed, judgement.evidence, sight.now);
      return !halts(step, incident);
    case Verdict::kAct:
    case Verdict::kWait: break;
  }
  if (limit && sight.now - step.begun >= *limit && !(under_way_ && under_way_->incident == incident.id)) {
    end_step(incident, at, StepState::kFailed,
             "not within " + std::to_string(*limit / 1s) + " s: " + judgement.evidence, sight.now);
    return incident.phase != Phase::kApproval;
  }
  if (judgement.verdict == Verdict::kWait) {
    note(incident, describe(step, cluster_) + ": " + judgement.evidence);
  } else if (!under_way_) {
    act(incident, at, sight, judgement.evidence);
  }
  return false;
}

void Controller::act(Incident& incident, std::size_t at, const Sight& sight, const std::string& evidence) {
  Step& step = incident.steps[at];
  if (step.kind == StepKind::kDivert || step.kind == StepKind::kShare) {
    if (turn_.shares) return;  // one change of traffic in a turn
    const bool of_a_node = step.node != NodeId{};
    if (const Incident* other = of_a_node ? keeps_away(step.node, incident) : nullptr;
        other != nullptr && step.kind == StepKind::kShare)
      return note(incident, describe(step, cluster_) + ": " + name_of(*other) + " keeps it away");
    State::Change& last = of_a_node ? state_.node_changes[step.node] : state_.changes[step.region];
    const bool in_haste = incident.at_once && step.kind == StepKind::kShare;
    if (last.at != Instant{} && sight.now - last.at < policy_.pause && !in_haste && bug_ != Bug::kNoPause)
      return note(incident, describe(step, cluster_) + ": its traffic was changed less than " +
                                std::to_string(policy_.pause / 1s) + " s ago");
    const std::string name = of_a_node ? sight.name(step.node) : sight.name(step.region);
    const int before = share_of(step, sight);
    traffic::Shares shares = sight.picture.shares;
    auto& percent = of_a_node ? shares.nodes : shares.percent;
    percent[name] = step.share;
    if (step.share == 100) percent.erase(name);
    shares.by = "failover " + name_of(incident) + ": " + describe(step, cluster_);
    turn_.shares = std::move(shares);
    last.at = step.begun = sight.now;
    if (of_a_node) changing_nodes_.insert(step.node);
    else changing_.insert(step.region);
    log(&incident, "traffic of " + name + ": " + std::to_string(before) + " % -> " + std::to_string(step.share) + " %",
        evidence, sight.now);
    return;
  }
  Effect effect;
  effect.incident = incident.id;
  effect.plan = incident.plan;
  effect.step = at;
  effect.kind = step.kind;
  effect.region = step.region;
  effect.to = step.kind == StepKind::kDrain ? Standing::kDraining : Standing::kServing;
  if (changes_membership(step.kind) && step.epoch == 0) {
    step.epoch = sight.picture.epoch;
    turn_.write = true;
  }
  effect.epoch = step.epoch;
  effect.id = "failover/" + name_of(incident) + "." + std::to_string(incident.plan) + "/" + std::to_string(at) + "/" +
              std::to_string(step.attempts) + "/" + std::to_string(token_);
  if (bug_ != Bug::kUnguardedChange) effect.token = token_;
  effect.why = name_of(incident) + ": " + incident.evidence.substr(0, 300);
  under_way_ = effect;
  turn_.effect = std::move(effect);
}

void Controller::end_step(Incident& incident, std::size_t at, StepState state, std::string evidence, Instant now) {
  Step& step = incident.steps[at];
  step.state = state;
  step.ended = now;
  step.epoch = 0;
  step.evidence = evidence.substr(0, 2000);
  turn_.write = true;
  if (step.kind == StepKind::kDivert && state == StepState::kDone && incident.relieved == Instant{})
    incident.relieved = now;
  if (state == StepState::kSkipped && bug_ == Bug::kSilentStep) return;
  log(&incident, std::string(to_string(state)) + ": " + describe(step, cluster_), std::move(evidence), now);
  if (state != StepState::kFailed || !halts(step, incident) || incident.phase != Phase::kExecuting) return;
  ++incident.plan;
  enter(incident, Phase::kApproval, describe(step, cluster_) + " failed: " + step.evidence, now);
  note(incident, "a step failed: 'evercert ctl failover approve " + name_of(incident) + "." +
                     std::to_string(incident.plan) + "' goes on without it, 'abort' undoes the rest");
}

void Controller::begin_return(Incident& incident, Instant now) {
  ++incident.plan;
  incident.steps = plan_return(incident, policy_);
  enter(incident, Phase::kReturning,
        !incident.ended_by.empty() ? incident.ended_by
        : incident.undo            ? "by the word of a person"
                                   : "well for long enough",
        now);
}

void Controller::fall_back(Incident& incident, const std::string& why, const Sight& sight) {
  if (pending(incident)) return;
  ++incident.fell_back;
  well_since_.erase(incident.id);
  ++incident.plan;
  incident.alive = sight.heard(incident.region);
  incident.steps = plan_for(incident);
  // The others have carried all until now: first the traffic goes.
  const auto divert = std::ranges::find(incident.steps, StepKind::kDivert, &Step::kind);
  std::rotate(incident.steps.begin(), divert, divert + 1);
  enter(incident, Phase::kExecuting, "the return is broken off: " + why, sight.now);
}

}  // namespace evercert::recovery
