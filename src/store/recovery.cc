// SPDX-License-Identifier: Apache-2.0
#include "store/recovery.h"

#include <algorithm>

#include "base/probe.h"

namespace evercert::store {

Recovery::Recovery(const Layout& layout, NodeId self, bool recovering, Bug bug, bool may_found)
    : layout_(layout),
      self_(self),
      bug_(bug),
      may_found_(may_found),
      asking_(recovering && (layout.nodes.size() > 1 || !may_found)),
      founders_(layout.nodes),
      founding_regions_(layout.regions) {}

// By those who remember.
std::size_t Recovery::groups_told_of() const {
  std::size_t groups = founding_regions_ + std::size_t{1};
  for (const auto& [node, answer] : answers_) {
    if (!answer.recovering) groups = std::max(groups, answer.facts.size());
  }
  return groups;
}

// Whatever quorum this node was part of in the group, by the most up-to-date answer, has one of those who answered.
bool Recovery::enough_of(std::size_t group) const {
  const GroupFacts* best = nullptr;
  for (const auto& [node, answer] : answers_) {
    if (answer.recovering || answer.facts.size() <= group) continue;
    if (best == nullptr || answer.facts[group].last > best->last) best = &answer.facts[group];
  }
  if (best == nullptr) return false;
  const Configuration present = best->configuration.value_or(configuration_of(layout_));
  // A change that is under way may be the newest that this node helped to decide, or have been decided without it.
  return heard_enough(present) && std::all_of(best->coming.begin(), best->coming.end(),
                                              [&](const Configuration& next) { return heard_enough(next); });
}

bool Recovery::heard_enough(const Configuration& configuration) const {
  return std::all_of(configuration.halves.begin(), configuration.halves.end(), [&](const Layout& half) {
    std::size_t remembering = 0, answered = 0, others = 0;
    for (const NodeId node : half.nodes) {
      if (node == self_) continue;
      const auto answer = answers_.find(node);
      ++others;
      answered += answer != answers_.end() ? 1 : 0;
      remembering += answer != answers_.end() && !answer->second.recovering ? 1 : 0;
    }
    return answered == others || remembering >= half.nodes.size() - half.majority() + 1;
  });
}

std::optional<std::vector<Recovery::GroupFacts>> Recovery::told(NodeId from, bool other_recovering,
                                                                std::vector<GroupFacts> facts,
                                                                std::vector<NodeId> founders,
                                                                std::uint8_t founding_regions, bool may_found) {
  if (!asking_ || from == self_ || facts.empty()) return std::nullopt;
  if (!other_recovering && !founders.empty() && bug_ != Bug::kNewcomerAtOnce) {
    founders_ = founders;
    founding_regions_ = founding_regions;
  }
  const bool agrees = founders.empty() || founders == layout_.nodes || bug_ == Bug::kNewcomerAtOnce;
  answers_[from] = {other_recovering, agrees, may_found, std::move(facts)};
  const bool anybody =
      std::any_of(answers_.begin(), answers_.end(), [](const auto& answer) { return !answer.second.recovering; });
  // Nobody remembers anything: a new cluster, if all whom the file names are there, have the same file and are new. (Of
  // a cluster that has exchanged its nodes since, those of the beginning may all have lost their disks: it lives on.)
  const bool all_forgot = !anybody && std::all_of(layout_.nodes.begin(), layout_.nodes.end(), [&](NodeId node) {
    return node == self_ || answers_.contains(node);
  });
  const bool all_new = all_forgot && may_found_ && std::ranges::all_of(layout_.nodes, [&](NodeId node) {
                         return node == self_ || (answers_.at(node).agrees && answers_.at(node).may_found);
                       });
  nobody_remembers_ = all_forgot && !all_new;
  for (std::size_t g = 0; g < groups_told_of() && !all_new; ++g) {
    if (!enough_of(g)) return std::nullopt;
  }
  EC_PROBE("a node without a log has heard enough to go on");
  asking_ = false;
  std::vector<GroupFacts> result(groups_told_of());
  for (const auto& [node, answer] : answers_) {
    for (std::size_t g = 0; g < std::min(result.size(), answer.facts.size()); ++g) {
      result[g].term = std::max(result[g].term, answer.facts[g].term);
      result[g].last = std::max(result[g].last, answer.facts[g].last);
    }
  }
  return result;
}

}  // namespace evercert::store
