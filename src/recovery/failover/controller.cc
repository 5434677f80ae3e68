// SPDX-License-Identifier: Apache-2.0
// What is opened, what persons order, and the log. How an incident goes on is in progress.cc.
#include "recovery/failover/controller.h"

#include <algorithm>

#include "recovery/failover/steps.h"

namespace evercert::recovery {
namespace {

constexpr std::size_t kClosedKept = 20, kMostOpen = 100;
// A turn is one transaction, of 128 operations at most: what would be more waits for the next one. One incident adds at
// most some twenty entries in a turn, and orders, which are removed by it, are 32 at most.
constexpr std::size_t kFullTurn = 60, kTrimmedAtOnce = 16;
constexpr std::uint64_t kLeastLog = 100;
constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kOldestOrderMs = 60'000;
// An incident that comes again so soon after its end is the same unrest.
constexpr Duration kSoon = 600s;
constexpr Duration kLongestWrite = 10s;

}  // namespace

Controller::Controller(Cluster cluster, Policy policy, State state, std::string node, std::int64_t token, Times started,
                       Bug bug)
    : cluster_(std::move(cluster)),
      policy_(std::move(policy)),
      state_(std::move(state)),
      node_(std::move(node)),
      token_(token),
      started_(started),
      bug_(bug) {
  // What was decided may have been written as long after.
  for (auto& [region, change] : state_.changes) change.at = std::min(started_.now, change.at + kLongestWrite);
  for (auto& [of, change] : state_.node_changes) change.at = std::min(started_.now, change.at + kLongestWrite);
  // What a forerunner has sent is done by now, or never will be: the store compares the token. What is to be seen of it
  // in the membership record, which is read anew, says what is left to do.
  for (Incident& incident : state_.incidents) {
    for (Step& step : incident.steps) step.epoch = 0;
  }
}

Turn Controller::advance(const Picture& picture, const std::vector<Order>& orders, Instant now) {
  const Sight sight(cluster_, picture, policy_, now, bug_);
  refusal_ = sight.blind();
  if (!refusal_.empty()) {
    // What was well or ill before says nothing about the time that nobody saw.
    found_since_.clear();
    well_since_.clear();
    return {};
  }
  hear_words(sight);
  for (const Order& order : orders) {
    obey(order, sight);
    turn_.orders.push_back(order.key);
    turn_.write = true;
  }
  open_new(detect(sight), sight);
  for (Incident& incident : state_.incidents) {
    if (turn_.log.size() >= kFullTurn) break;
    if (incident.phase != Phase::kClosed) progress(incident, sight);
  }
  trim();
  trim_log(picture.oldest, now);
  Turn turn = std::exchange(turn_, {});
  turn.write = turn.write || !turn.log.empty() || turn.shares.has_value();
  return turn;
}

// Changes of the membership that persons have made since the last look.
void Controller::hear_words(const Sight& sight) {
  for (const auto& [region, name] : cluster_.regions) {
    const Member::Word word = sight.member(region).word;
    const auto heard = state_.words.find(region);
    if (word.epoch <= (heard == state_.words.end() ? 0 : heard->second.epoch)) continue;
    state_.words[region] = {word.epoch, sight.now};
    turn_.write = true;
    if (bug_ != Bug::kIgnoreWord) hear_word(region, word, sight.now);
  }
}

// Whoever puts a region back ends what is being done about it; whoever takes it out is not contradicted (steps.cc).
void Controller::hear_word(RegionId region, const Member::Word& word, Instant now) {
  const std::string& name = cluster_.regions.at(region);
  const std::string said = word.by + ": " + name + " is to be " + std::string(to_string(word.wanted)) + ", epoch " +
                           std::to_string(word.epoch);
  const auto open_one = std::ranges::find_if(state_.incidents, [&](const Incident& one) {
    return one.kind == Kind::kRegion && one.region == region && one.phase != Phase::kClosed;
  });
  if (open_one == state_.incidents.end()) return;
  if (word.wanted != Standing::kServing) return log(&*open_one, "by the word of " + said, "it stays so", now);
  open_one->undo = true;
  open_one->ended_by = said;
  log(&*open_one, "ended by the word of " + said, "", now);
}

// For how long it must have been found, and since when it counts: what was seen before a person put the region back, or
// soon after, is no reason to contradict him before it has lasted.
Duration Controller::to_be_confirmed(const Finding& finding, Instant& since) const {
  Duration needed = policy_.confirm;
  if (finding.kind != Kind::kRegion) return needed;
  // What a new controller finds first may be the end of a time in which there was none, for want of a majority.
  if (finding.alive && since < started_.now + policy_.well && bug_ != Bug::kOldVerdict)
    needed = std::max(needed, policy_.well);
  const auto word = state_.words.find(finding.region);
  if (word == state_.words.end() || since >= word->second.at + policy_.well || bug_ == Bug::kOldEvidence) return needed;
  since = std::max(since, word->second.at);
  return std::max(needed, policy_.well);
}

void Controller::open_new(const std::vector<Finding>& found, const Sight& sight) {
  std::map<Subject, Instant> since;
  for (const Finding& finding : found) {
    const Subject subject{finding.kind, finding.subject};
    const auto before = found_since_.find(subject);
    since[subject] = before == found_since_.end() ? sight.now : before->second;
    const bool known = std::ranges::any_of(state_.incidents, [&](const Incident& open) {
      if (open.phase == Phase::kClosed) return false;
      const bool whole_region = open.kind == Kind::kRegion && open.region == finding.region &&
                                (finding.kind == Kind::kZone || finding.kind == Kind::kComponent);
      return whole_region || (open.kind == finding.kind && open.subject == finding.subject);
    });
    Instant counts_since = since[subject];
    const Duration needed = to_be_confirmed(finding, counts_since);
    if (known || sight.now - counts_since < needed || state_.incidents.size() >= kMostOpen ||
        turn_.log.size() >= kFullTurn)
      continue;
    Incident incident;
    incident.kind = finding.kind;
    incident.subject = finding.subject;
    incident.region = finding.region;
    incident.node = finding.node;
    incident.alive = finding.alive;
    incident.evidence = finding.evidence;
    incident.began = std::min(since[subject], sight.now - finding.before);
    for (const Incident& earlier : state_.incidents) {
      if (earlier.kind == incident.kind && earlier.subject == incident.subject && sight.now - earlier.changed < kSoon)
        incident.fell_back = std::max(incident.fell_back, earlier.fell_back + 1);
    }
    open(std::move(incident), sight.now);
  }
  found_since_ = std::move(since);
}

Incident& Controller::open(Incident incident, Instant now) {
  incident.id = state_.next_incident++;
  incident.opened = incident.changed = now;
  if (incident.began == Instant{}) incident.began = now;  // it was ordered
  incident.phase = Phase::kConfirmed;
  state_.incidents.push_back(std::move(incident));
  Incident& opened = state_.incidents.back();
  log(&opened,
      std::string(to_string(opened.kind)) + " " + opened.subject + ": " +
          (opened.ordered_by.empty() ? "confirmed" : "ordered by " + opened.ordered_by),
      opened.evidence, now);
  return opened;
}

void Controller::obey(const Order& order, const Sight& sight) {
  const std::string who = order.by.empty() ? "somebody" : order.by;
  if (started_.to_ms(sight.now) - order.at_ms > kOldestOrderMs)
    return log(nullptr, "refused: an order of " + who + " that is older than a minute", "", sight.now);
  if (order.verb == Order::Verb::kPlan) return order_plan(order, sight);
  Incident* incident = find(order.incident);
  if (incident == nullptr || incident->phase == Phase::kClosed)
    return log(nullptr, "refused: " + who + " speaks of F-" + std::to_string(order.incident) + ", which is not open",
               "", sight.now);
  if (order.verb == Order::Verb::kApprove) return order_approval(order, *incident, sight);
  if (order.verb == Order::Verb::kReject && incident->phase != Phase::kApproval && incident->phase != Phase::kConfirmed)
    return log(incident, "refused: " + who + " rejects what is " + std::string(to_string(incident->phase)), "",
               sight.now);
  order_abort(order, *incident, sight.now);
}

void Controller::order_plan(const Order& order, const Sight& sight) {
  const auto named = cluster_.regions.find(order.region);
  if (named == cluster_.regions.end())
    return log(nullptr, "refused: there is no such region", "ordered by " + order.by, sight.now);
  const std::string why = forbids_taking_out(order.region, true, true, sight);
  const auto open_one = std::ranges::find_if(state_.incidents, [&](const Incident& one) {
    return one.kind == Kind::kRegion && one.region == order.region && one.phase != Phase::kClosed;
  });
  Incident* known = open_one == state_.incidents.end() ? nullptr : &*open_one;
  if (!why.empty())
    return log(known, "refused: to relieve " + named->second + ": " + why, "ordered by " + order.by, sight.now);
  if (known != nullptr && known->phase != Phase::kConfirmed)
    return log(known, "refused: it is " + std::string(to_string(known->phase)) + " already", "ordered by " + order.by,
               sight.now);
  if (known == nullptr) {
    Incident incident;
    incident.subject = named->second;
    incident.region = order.region;
    incident.alive = sight.heard(order.region);
    incident.ordered_by = order.by;
    incident.evidence = order.reason.empty() ? "no reason was given" : order.reason;
    known = &open(std::move(incident), sight.now);
  } else {
    known->ordered_by = order.by;
    known->undo = known->at_once = false;
    known->ended_by.clear();
  }
  known->steps = plan_for(*known);
  enter(*known, Phase::kExecuting, "ordered by " + order.by, sight.now);
}

void Controller::order_approval(const Order& order, Incident& incident, const Sight& sight) {
  const std::string plan = name_of(incident) + "." + std::to_string(incident.plan);
  if (incident.phase != Phase::kApproval)
    return log(&incident, "refused: " + order.by + " approves what is " + std::string(to_string(incident.phase)), "",
               sight.now);
  if (order.plan != 0 && order.plan != incident.plan)
    return log(&incident,
               "refused: " + order.by + " approves plan " + std::to_string(order.plan) + ", and it is " + plan + " now",
               "", sight.now);
  if (incident.kind == Kind::kRegion) {
    const std::string why = forbids_taking_out(incident.region, true, incident.alive, sight);
    if (!why.empty()) return log(&incident, "refused, though approved by " + order.by + ": " + why, "", sight.now);
  }
  incident.approved_by = order.by;
  enter(incident, Phase::kExecuting,
        "plan " + plan + " approved by " + order.by + (order.reason.empty() ? "" : ": " + order.reason), sight.now);
}

void Controller::order_abort(const Order& order, Incident& incident, Instant now) {
  incident.undo = true;
  incident.at_once = incident.at_once || order.at_once;
  const char* what = order.verb == Order::Verb::kReject ? "rejected by " : "to be undone by the word of ";
  log(&incident, what + order.by + (order.at_once ? ", at once" : ""), order.reason, now);
  if (incident.phase == Phase::kApproval) enter(incident, Phase::kConfirmed, "", now);
  note(incident, what + order.by + ": nothing more is done about it until it is well");
}

void Controller::written(Instant now) {
  for (const RegionId region : std::exchange(changing_, {})) state_.changes[region].at = now;
  for (const NodeId node : std::exchange(changing_nodes_, {})) state_.node_changes[node].at = now;
}

void Controller::ended(const Effect& effect, Result<std::string> how, Instant now) {
  under_way_.reset();
  Incident* incident = find(effect.incident);
  if (incident == nullptr || incident->plan != effect.plan || effect.step >= incident->steps.size()) return;
  Step& step = incident->steps[effect.step];
  if (step.state != StepState::kRunning || step.kind != effect.kind) return;
  if (how) return end_step(*incident, effect.step, StepState::kDone, *how, now);
  const Error& error = how.error();
  const bool again =
      error.code == Code::kUnavailable || error.code == Code::kUnknownOutcome || error.code == Code::kExpired;
  note(*incident, describe(step, cluster_) + ": " + error.message);
  if (again) return;
  turn_.write = true;
  const bool may_have_moved = changes_membership(effect.kind) && error.code == Code::kConflict;
  step.epoch = 0;
  if (may_have_moved && ++step.attempts < 5) return;  // judged anew
  end_step(*incident, effect.step, StepState::kFailed, error.message, now);
}

void Controller::enter(Incident& incident, Phase phase, std::string evidence, Instant now) {
  incident.phase = phase;
  incident.changed = now;
  incident.note.clear();
  log(&incident, std::string(to_string(incident.kind)) + " " + incident.subject + ": " + std::string(to_string(phase)),
      std::move(evidence), now);
}

void Controller::close(Incident& incident, std::string outcome, Instant now) {
  incident.outcome = outcome;
  enter(incident, Phase::kClosed, std::move(outcome), now);
}

void Controller::note(Incident& incident, std::string text) {
  if (incident.note == text) return;
  incident.note = std::move(text);
  turn_.write = true;
}

void Controller::log(const Incident* incident, std::string text, std::string evidence, Instant now) {
  LogEntry entry;
  entry.number = ++state_.logged;
  entry.at_ms = started_.to_ms(now);
  entry.by = node_;
  entry.token = token_;
  if (incident != nullptr) entry.incident = name_of(*incident);
  entry.text = text.substr(0, 1000);
  entry.evidence = evidence.substr(0, 2000);
  seal(entry, state_.log_hash);
  state_.log_hash = entry.hash;
  turn_.log.push_back(std::move(entry));
}

Incident* Controller::find(std::uint64_t id) {
  const auto found = std::ranges::find(state_.incidents, id, &Incident::id);
  return found == state_.incidents.end() ? nullptr : &*found;
}

bool Controller::pending(const Incident& incident) const {
  return std::ranges::any_of(incident.steps, [](const Step& step) { return step.epoch != 0; });
}

// Another incident for whose sake the node gets no traffic.
const Incident* Controller::keeps_away(NodeId node, const Incident& but) const {
  const auto other = std::ranges::find_if(state_.incidents, [&](const Incident& one) {
    return one.id != but.id && one.node == node && (one.phase == Phase::kExecuting || one.phase == Phase::kStabilised);
  });
  return other == state_.incidents.end() ? nullptr : &*other;
}

void Controller::trim() {
  auto closed = std::ranges::count(state_.incidents, Phase::kClosed, &Incident::phase);
  std::erase_if(state_.incidents, [&](const Incident& one) {
    return one.phase == Phase::kClosed && closed > static_cast<std::ptrdiff_t>(kClosedKept) && closed-- > 0;
  });
}

void Controller::trim_log(const std::vector<LogEntry>& oldest, Instant now) {
  const std::int64_t too_old = started_.to_ms(now) - policy_.log_days * kDayMs;
  for (const LogEntry& entry : oldest) {
    if (entry.number < state_.log_from) continue;  // it is gone by now
    const std::uint64_t kept = state_.logged - entry.number + 1;
    const bool goes = entry.number == state_.log_from && kept > kLeastLog &&
                      (kept > static_cast<std::uint64_t>(policy_.log_entries) || entry.at_ms < too_old);
    if (!goes || turn_.trimmed.size() == kTrimmedAtOnce) return;
    turn_.trimmed.push_back(entry.number);
    turn_.anchor = entry;
    state_.log_from = entry.number + 1;
    turn_.write = true;
  }
}

Rehearsal rehearse(const Cluster& cluster, const Policy& policy, const Picture& picture, RegionId region, Instant now) {
  const Sight sight(cluster, picture, policy, now);
  Rehearsal rehearsal;
  rehearsal.forbidden = sight.blind();
  if (rehearsal.forbidden.empty()) rehearsal.forbidden = forbids_taking_out(region, true, true, sight);
  Incident incident;
  incident.region = region;
  incident.alive = sight.heard(region);
  incident.ordered_by = "a rehearsal";
  for (const Step& step : plan_for(incident)) {
    const Judgement judgement = judge(step, incident, sight);
    const char* would = judgement.verdict == Verdict::kSkip   ? "skip: "
                        : judgement.verdict == Verdict::kDone ? "nothing to do: "
                        : judgement.verdict == Verdict::kAct  ? "do: "
                        : judgement.verdict == Verdict::kFail ? "fail: "
                                                              : "wait: ";
    rehearsal.steps.emplace_back(step, would + judgement.evidence);
  }
  for (const Step& step : plan_return(incident, policy))
    rehearsal.steps.emplace_back(step, "when it is well again, or by 'abort'");
  return rehearsal;
}

}  // namespace evercert::recovery
