// SPDX-License-Identifier: Apache-2.0
#include "sim/space/space_checker.h"

#include <algorithm>

namespace evercert::sim {

SeenEvent seen(const mvccpb::Event& event) {
  return {event.kv().mod_revision(), event.kv().key(), event.type() == mvccpb::Event::PUT, event.kv().value()};
}

void SpaceChecker::violation(std::string what) {
  if (found_) return;
  found_ = std::move(what);
  world_.stop();
}

void SpaceChecker::applied(const coordination::Effects& effects) {
  std::map<std::int64_t, std::vector<SeenEvent>> told;
  for (const auto& event : effects.events) told[event->kv().mod_revision()].push_back(seen(*event));
  for (auto& [revision, events] : told) {
    const auto known = history_.find(revision);
    if (known != history_.end()) {
      if (known->second != events) violation("revision " + std::to_string(revision) + " differs between nodes");
      continue;
    }
    for (const auto& [at, key, there, value] : events) {
      if (there && value.starts_with("once/") && !once_.insert(value).second)
        violation("a put was applied twice: " + value);
    }
    history_.emplace(revision, std::move(events));
    first_applied_.emplace(revision, world_.now());
  }
  if (effects.meta.compacted > compacted_) compacted(effects.meta);
}

std::int64_t SpaceChecker::latest_at(Instant time) const {
  std::int64_t latest = 1;
  for (const auto& [revision, applied] : first_applied_) {
    if (applied > time) break;
    latest = revision;
  }
  return latest;
}

void SpaceChecker::compacted(const coordination::Meta& meta) {
  compacted_ = meta.compacted;
  if (!policy_) return;
  const auto violated = [&](std::int64_t kept_from) {
    if (compacted_ <= kept_from) return;
    violation("the key space is compacted to revision " + std::to_string(compacted_) + ", its policy keeps " +
              std::to_string(kept_from));
  };
  if (policy_->mode == coordination::CompactionPolicy::Mode::kRevision)
    return violated(meta.revision - policy_->revisions);
  // The leader's clock may be slow by so much.
  violated(latest_at(world_.now() - policy_->retention * 95 / 100));
}

// After a time of quiet, in which nobody died.
void SpaceChecker::check_compacted() {
  if (!policy_) return;
  const bool by_number = policy_->mode == coordination::CompactionPolicy::Mode::kRevision;
  const std::int64_t wanted =
      by_number ? last_revision() - policy_->revisions : latest_at(world_.now() - policy_->retention * 12 / 10 - 3s);
  if (wanted > 1 && compacted_ < wanted)
    violation("the key space is compacted to revision " + std::to_string(compacted_) + " only, its policy keeps " +
              std::to_string(wanted));
}

void SpaceChecker::holds(int client, const std::string& lock, std::int64_t token) {
  auto& holder = holders_[lock];
  if (holder) {
    violation("lock " + lock + " is held by client " + std::to_string(*holder) + " and by client " +
              std::to_string(client));
  }
  auto& last = tokens_[lock];
  if (token <= last) {
    violation("lock " + lock + ": fencing token " + std::to_string(token) + " after " + std::to_string(last));
  }
  last = token;
  holder = client;
  ++acquisitions_;
}

void SpaceChecker::holds_no_more(int client, const std::string& lock) {
  auto& holder = holders_[lock];
  if (holder == client) holder.reset();
}

void SpaceChecker::lease_gone_early(int client) {
  violation("a lease of client " + std::to_string(client) + " ended before its time");
}

void SpaceChecker::counted(std::int64_t value) {
  if (!counted_.insert(value).second) violation("two compare-and-sets have made the count " + std::to_string(value));
}

void SpaceChecker::count_is(std::int64_t value) {
  if (value < static_cast<std::int64_t>(counted_.size()))
    violation("the count is " + std::to_string(value) + " after " + std::to_string(counted_.size()) + " successes");
}

void SpaceChecker::watched(const std::string& prefix, const std::vector<SeenEvent>& events, std::int64_t until,
                           const std::vector<std::pair<std::int64_t, std::int64_t>>& gaps) {
  std::vector<SeenEvent> expected;
  for (const auto& [revision, changes] : history_) {
    if (revision > until) break;
    const bool in_gap = std::any_of(gaps.begin(), gaps.end(),
                                    [&, r = revision](const auto& gap) { return r >= gap.first && r < gap.second; });
    if (in_gap) continue;
    for (const auto& event : changes) {
      if (std::get<1>(event).starts_with(prefix)) expected.push_back(event);
    }
  }
  const auto [there, seen_there] = std::mismatch(expected.begin(), expected.end(), events.begin(), events.end());
  if (there != expected.end()) {
    violation("a watch of '" + prefix + "' missed revision " + std::to_string(std::get<0>(*there)));
  } else if (seen_there != events.end()) {
    violation("a watch of '" + prefix + "' was told too much at revision " + std::to_string(std::get<0>(*seen_there)));
  }
}

void SpaceChecker::acknowledged(std::int64_t revision, const std::string& key, const std::string& value) {
  acknowledged_[revision] = {key, value};
}

void SpaceChecker::check_acknowledged() {
  for (const auto& [revision, put] : acknowledged_) {
    const auto known = history_.find(revision);
    if (known == history_.end() || known->second.size() != 1 ||
        known->second.front() != SeenEvent{revision, put.first, true, put.second}) {
      violation("an acknowledged put is not in the history at revision " + std::to_string(revision));
    }
  }
}

}  // namespace evercert::sim
