// SPDX-License-Identifier: Apache-2.0
// What must be so in the world of failover_world_test.h: looked at with each write of a controller, and at the end.
#include <algorithm>

#include "recovery/failover/failover_world_test.h"

namespace evercert::recovery {
namespace {

constexpr Duration kSlack = 1500ms;  // from a decision to its being written, and back

}  // namespace

// A person has ordered or approved it after the last change of the membership. (The clocks of those who write differ.)
bool World::person_since(const Incident& incident, const Region& region) const {
  return (!incident.ordered_by.empty() || !incident.approved_by.empty()) && incident.changed + 3s >= region.word_at;
}

// Nobody goes on against a person's word that he has seen.
void World::check_words(const State& state, std::uint64_t epoch) {
  for (const Incident& incident : state.incidents) {
    if (incident.kind != Kind::kRegion) continue;
    const Region& region = regions_.at(incident.region);
    if (region.word.epoch == 0 || epoch < region.word.epoch) continue;
    if (incident.phase == Phase::kClosed) {
      facts_.plans_ended += incident.ended_by.empty() ? 0 : 1;
      continue;
    }
    const bool pending = std::ranges::any_of(incident.steps, [](const Step& step) { return step.epoch != 0; });
    const bool goes_on = incident.phase == Phase::kExecuting || incident.phase == Phase::kStabilised;
    if (region.word.wanted == Standing::kServing && goes_on && !pending && incident.changed + 3s < region.word_at)
      say(name_of(incident) + " goes on although a person has put its region back");
  }
}

void World::check_shares(const traffic::Shares& before, const traffic::Shares& after, const State& state,
                         std::uint64_t epoch) {
  for (auto& [id, region] : regions_) {
    const std::string& name = cluster_.regions.at(id);
    const int was = before.of(name), is = after.of(name);
    if (was == is) continue;
    const auto last = share_changed_.find(id);
    const auto open = std::ranges::find_if(state.incidents, [&](const Incident& i) {
      return i.kind == Kind::kRegion && i.region == id && i.phase != Phase::kClosed;
    });
    const bool in_haste = open != state.incidents.end() && open->at_once;
    const bool word_known = region.word.epoch != 0 && epoch >= region.word.epoch;
    if (word_known && region.word.wanted != Standing::kServing && is > was)
      say("traffic is led to " + name + ", which a person has taken out");
    if (word_known && region.word.wanted == Standing::kServing && is < was && now_ - region.word_at < policy_.well &&
        !(open != state.incidents.end() && person_since(*open, region)))
      say("the traffic of " + name + " is taken away so soon after a person has put it back");
    if (last != share_changed_.end() && now_ - last->second < policy_.pause - kSlack && !in_haste)
      say("the traffic of " + name + " was changed twice within " + std::to_string((now_ - last->second) / 1ms) +
          " ms");
    share_changed_[id] = now_;
    const bool person = open != state.incidents.end() && (!open->ordered_by.empty() || !open->approved_by.empty());
    if (is == 0) {
      ++facts_.diverted;
      // A writing may be on its way for 8 s.
      const Duration lately = policy_.stale + policy_.confirm + 20s;
      const auto others = std::ranges::count_if(regions_, [&](const auto& o) {
        return o.first != id && after.of(cluster_.regions.at(o.first)) > 0 &&
               (o.second.up || now_ - o.second.changed < lately);
      });
      if (others < (person ? 1 : policy_.regions_left)) say("only " + std::to_string(others) + " regions are left");
      const bool errors = region.failing && was > 0 && was < 100;
      if (!person && was == 100 && !truly_out(id, lately) && !errors)
        say(name + " was taken out, and nothing was wrong with it");
      // What is seen may be so old, and the clocks of those who write differ.
      if (!person && was == 100 && open != state.incidents.end() && open->opened - region.last_bad > policy_.stale + 4s)
        say(name + " was taken out for what was over");
    } else {
      if (is == 100) ++facts_.returned;
      const bool undone = open != state.incidents.end() && open->undo;
      if (is > was && was > 0 && !undone && region.up && region.failing && now_ - region.failing_since > 15s &&
          now_ >= processes_[holder_].deaf_until)
        say("more traffic was led to " + name + " although it fails");
      if (is < was) ++facts_.fell_back;
    }
  }
}

void World::check_node_shares(const traffic::Shares& before, const traffic::Shares& after, const State& state) {
  for (auto& [id, node] : nodes_) {
    const std::string name = cluster_.regions.at(region_of(id)) + "/" + std::to_string(id.value % 256);
    const int was = before.of_node(name), is = after.of_node(name);
    if (was == is) continue;
    const auto open = std::ranges::find_if(state.incidents, [&](const Incident& i) {
      return (i.kind == Kind::kZone || i.kind == Kind::kComponent) && i.node == id && i.phase != Phase::kClosed;
    });
    const bool undone = open != state.incidents.end() && open->undo;
    // A zone and a component of it may both be an incident.
    const bool in_haste = std::ranges::any_of(state.incidents, [&](const Incident& i) {
      return i.node == id && i.phase != Phase::kClosed && i.undo && i.at_once;
    });
    if (now_ - node.share_changed < policy_.pause - kSlack && !in_haste)
      say("the traffic of " + name + " was changed twice within its pause");
    node.share_changed = now_;
    const Duration lately = policy_.stale + policy_.confirm + 20s;
    if (is == 0) {
      ++facts_.nodes_diverted;
      const bool another = std::ranges::any_of(nodes_, [&, of = id](const auto& other) {
        if (other.first == of || region_of(other.first) != region_of(of)) return false;
        const std::string its = cluster_.regions.at(region_of(of)) + "/" + std::to_string(other.first.value % 256);
        const bool bad = other.second.down || other.second.broken;
        return after.of_node(its) > 0 && (!bad || now_ - other.second.bad_since < lately);
      });
      if (!another) say("no other node of the region of " + name + " gets traffic and is well");
      const bool errors = regions_.at(region_of(id)).failing;  // the return is broken off for them
      if (now_ - node.last_bad > lately && was == 100 && !errors)
        say(name + " was taken out, and nothing was wrong with it");
    } else {
      if (is == 100) ++facts_.nodes_returned;
      if (is > was && was > 0 && !undone && (node.down || node.broken) && now_ - node.bad_since > 15s &&
          now_ >= processes_[holder_].deaf_until)
        say("more traffic was led to " + name + " although it is ill");
    }
  }
}

void World::check_state(const State& state) {
  if (state.logged != entries_)
    say("the state counts " + std::to_string(state.logged) + " entries, and there are " + std::to_string(entries_));
  for (const Incident& incident : state.incidents) {
    for (const Step& step : incident.steps) {
      if (step.state == StepState::kWaiting) continue;
      const std::string text =
          step.state == StepState::kRunning ? "begins: " : std::string(to_string(step.state)) + ": ";
      if (!told_.contains(name_of(incident) + "|" + text + describe(step, cluster_)))
        say("not in the log: " + name_of(incident) + " " + text + describe(step, cluster_));
    }
  }
}

void World::check_end() {
  const State state = recorded();
  for (const Incident& incident : state.incidents) {
    if (incident.phase == Phase::kClosed) {
      ++facts_.closed;
      continue;
    }
    const bool ordered = !incident.ordered_by.empty() && incident.phase == Phase::kStabilised;
    if (!ordered)
      say(name_of(incident) + " never ended: " + std::string(to_string(incident.phase)) + ", " + incident.note);
  }
  for (const auto& [id, region] : regions_) {
    const std::string& name = cluster_.regions.at(id);
    const bool ordered = std::ranges::any_of(state.incidents, [&](const Incident& i) {
      return i.region == id && i.phase != Phase::kClosed && !i.ordered_by.empty();
    });
    if (ordered) continue;
    if (shares().of(name) != 100) say(name + " has not got its traffic back");
    if (region.standing == Standing::kDraining && region.by == kController) say(name + " was never put back");
  }
  for (const auto& [node, share] : shares().nodes) say(node + " has not got its traffic back");
  std::optional<LogAnchor> anchor;
  if (const auto kept = space_.find(std::string(kAnchorKey)); kept != space_.end()) {
    const auto read = parse_anchor(kept->second.value);
    if (!read) return say("the anchor of the log is not understood");
    anchor = *read;
    if (anchor->signature.value != signed_text(*anchor)) say("the anchor of the log is not signed as such");
  }
  std::vector<LogEntry> entries;
  for (auto entry = space_.lower_bound(std::string(kLogPrefix));
       entry != space_.end() && entry->first.starts_with(kLogPrefix); ++entry) {
    const auto read = parse_entry(entry->second.value);
    if (!read) return say("an entry of the log is not understood");
    entries.push_back(*read);
  }
  if (const Status whole = verify(entries, anchor ? &*anchor : nullptr); !whole) say(whole.error().message);
  const std::uint64_t removed = anchor ? anchor->last.number : 0;
  facts_.trimmed += removed;
  if (entries.size() + removed != state.logged || state.log_from != removed + 1) say("the log has gaps");
  if (entries.size() > static_cast<std::size_t>(policy_.log_entries) + 64) say("the log is never trimmed");
  for (const LogEntry& entry : entries) {
    if (entry.signature.value != signed_text(entry)) say("an entry of the log is not signed");
  }
}

}  // namespace evercert::recovery
