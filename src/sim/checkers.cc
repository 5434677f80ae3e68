// SPDX-License-Identifier: Apache-2.0
#include "sim/checkers.h"

#include <algorithm>
#include <utility>

#include "store/keys.h"

namespace evercert::sim {
namespace {

std::string name(NodeId node) { return "node " + node_name(node); }

}  // namespace

Checkers::Checkers(World& world, CheckerOptions options)
    : world_(world), options_(options), membership_(world, [this](std::string what) { violation(std::move(what)); }) {
  world_.on_started = [this](NodeId node) { membership_.started(node); };
  world_.on_ticked = [this](NodeId node) { membership_.ticked(node); };
  world_.on_worked = [this](NodeId node) {
    check_leaders(node);
    if (options_.membership) membership_.worked(node);
  };
  world_.on_applied = [this](NodeId node, GroupId group, LogIndex index, Term term, const std::string& data) {
    check_applied(node, group, index, term, data);
  };
  world_.on_refused = [this](NodeId node, const Error& error) {
    violation(name(node) + " stops by itself: " + error.message);
  };
}

void Checkers::violation(std::string what) {
  if (!found_) found_ = "t=" + std::to_string(world_.now().us / 1000) + "ms " + std::move(what);
  world_.note("VIOLATION " + *found_);
  world_.stop();
}

void Checkers::wrote(GroupId group) {
  if (group == kGlobalGroup || writes_ended_) return;
  const Instant now = world_.now();
  const auto [last, first_write] = last_write_.try_emplace(group, now);
  if (first_write) return;
  const Duration silent = now - std::exchange(last->second, now);
  longest_silence_ = std::max(longest_silence_, silent);
  if (options_.write_gap && silent > *options_.write_gap)
    violation("group " + std::to_string(group.value) + " acknowledged no write for " +
              std::to_string(silent.count() / 1000) + " ms");
}

void Checkers::end_of_writes() {
  for (const auto& [group, last] : std::map(last_write_)) wrote(group);
  writes_ended_ = true;
}

void Checkers::issued(const std::string& serial) {
  if (!acknowledged_.try_emplace(serial, false).second)
    violation("serial " + serial_name(serial) + " was issued twice");
}

void Checkers::revoked(const std::string& serial) { acknowledged_[serial] = true; }

Checkers::Expectation Checkers::expectation(const std::string& serial) const {
  const auto found = acknowledged_.find(serial);
  if (found == acknowledged_.end()) return {};
  return {true, found->second};
}

void Checkers::read(NodeId where, const std::string& serial, Expectation expected, bool exists, bool revoked) {
  if (!options_.freshness) return;
  if (expected.exists && !exists) {
    violation("fresh read: " + name(where) + " does not know " + serial_name(serial) +
              ", whose issuance was acknowledged");
  }
  if (expected.revoked && !revoked) {
    violation("fresh read: " + name(where) + " calls " + serial_name(serial) +
              " good after its revocation was acknowledged");
  }
}

void Checkers::check_leaders(NodeId node) {
  if (!options_.leaders) return;
  store::Engine* engine = world_.engine(node);
  for (std::uint32_t g = 0; engine->has(GroupId{g}); ++g) {
    const GroupId group{g};
    if (!engine->group(group).leads()) continue;
    const Term term = engine->group(group).status().term;
    const auto [known, first] = leaders_.try_emplace({group, term}, node);
    if (!first && known->second != node) {
      violation("two leaders: " + name(node) + " and " + name(known->second) + " in term " +
                std::to_string(term.value) + " of group " + std::to_string(g));
    }
  }
}

void Checkers::check_applied(NodeId node, GroupId group, LogIndex index, Term term, const std::string& data) {
  if (!options_.logs && !options_.membership) return;
  const std::size_t hash = std::hash<std::string>{}(data);
  const auto [known, first] = applied_.try_emplace({group, index}, std::pair{term, hash});
  store::v1::Command command;
  if (first && options_.membership && command.ParseFromString(data)) membership_.applied_first(group, command);
  if (options_.logs && !first && known->second != std::pair{term, hash}) {
    violation("parted logs: " + name(node) + " applied another entry at index " + std::to_string(index.value) +
              " of group " + std::to_string(group.value));
  }
}

void Checkers::check_end() {
  if (options_.membership && !found_) membership_.check_end(operator_);
  if (options_.durability && !found_) check_durable();
  if (options_.convergence && !found_) check_convergence();
  if (options_.linearizability && !found_) check_linearizable();
}

void Checkers::check_linearizable() {
  const auto finding = histories_.judge_all(!options_.across_regions, &undecided_);
  if (finding) violation(to_text(*finding));
}

void Checkers::check_durable() {
  for (const NodeId node : world_.members()) {
    if (world_.is_witness(node)) continue;
    for (const auto& [serial, revocation] : acknowledged_) {
      const auto group = store::home_of_serial(serial, world_.layout().regions);
      const auto bytes = world_.state(node).get(store::state_key(*group, store::certificate_record(serial)));
      store::v1::Certificate certificate;
      if (!bytes || !*bytes || !certificate.ParseFromString(**bytes)) {
        return violation("lost: " + name(node) + " does not have " + serial_name(serial) +
                         ", whose issuance was acknowledged");
      }
      if (revocation && !certificate.revoked()) {
        return violation("lost: " + name(node) + " does not have the acknowledged revocation of " +
                         serial_name(serial));
      }
    }
  }
}

// Of a home group it keeps who the members are, and nothing else.
void Checkers::check_witness(NodeId node, GroupId group, const std::string& key) {
  if (key == store::state_key(group, store::configuration_record())) return;
  violation("witness: " + name(node) + " keeps records of group " + std::to_string(group.value));
}

void Checkers::check_convergence() {
  std::map<GroupId, std::string> first;
  for (const NodeId node : world_.members()) {
    for (std::uint32_t g = 0; g < world_.layout().groups(); ++g) {
      std::string all;
      const bool stores = !world_.is_witness(node) || GroupId{g} == kGlobalGroup;
      const Status scanned =
          world_.state(node).scan(store::group_prefix(GroupId{g}), store::group_prefix(GroupId{g + 1}), SIZE_MAX,
                                  [&](std::string_view key, std::string_view value) {
                                    if (!stores) check_witness(node, GroupId{g}, std::string(key));
                                    all.append(key).append("=").append(value).append("\n");
                                    return true;
                                  });
      if (!scanned) return violation(scanned.error().message);
      if (!stores) continue;
      const auto [known, is_first] = first.try_emplace(GroupId{g}, all);
      if (!is_first && known->second != all) {
        return violation("no convergence: " + name(node) + " differs in group " + std::to_string(g));
      }
    }
  }
}

}  // namespace evercert::sim
