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
Recovery::Heard Recovery::heard_of(std::size_t group) const {
  const GroupFacts* best = nullptr;
  for (const auto& [node, answer] : answers_) {
    if (answer.recovering || answer.facts.size() <= group) continue;
    if (best == nullptr || answer.facts[group].last > best->last) best = &answer.facts[group];
  }
  if (best == nullptr) return Heard::kTooFew;
  const Configuration present = best->configuration.value_or(configuration_of(layout_));
  Heard heard = heard_from(group, present);
  // A change that is under way may be the newest that this node helped to decide, or have been decided without it.
  for (const Configuration& next : best->coming) heard = std::min(heard, heard_from(group, next));
  return heard;
}

Recovery::Heard Recovery::heard_from(std::size_t group, const Configuration& configuration) const {
  Heard heard = Heard::kEnough;
  for (const Layout& half : configuration.halves) {
    std::size_t remembering = 0, answered = 0, others = 0;
    for (const NodeId node : half.nodes) {
      if (node == self_) continue;
      ++others;
      const auto answer = answers_.find(node);
      if (answer == answers_.end()) continue;
      ++answered;
      const auto& [recovering, agrees, is_new, facts] = answer->second;
      const bool forgot = group < facts.size() && facts[group].forgot;
      // One that is new remembers all that it ever did: nothing.
      remembering += (recovering ? is_new : !forgot) ? 1 : 0;
    }
    if (remembering >= half.nodes.size() - half.majority() + 1) continue;
    heard = std::min(heard, answered == others ? Heard::kForgotten : Heard::kTooFew);
  }
  return heard;
}

Term Recovery::highest_term(std::size_t group) const {
  Term highest;
  for (const auto& [node, answer] : answers_) {
    if (group < answer.facts.size()) highest = std::max(highest, answer.facts[group].term);
  }
  return highest;
}

// Of the highest term heard; a group that has not begun needs none.
bool Recovery::hears_leader(std::size_t group) const {
  const Term highest = highest_term(group);
  return highest == Term{0} || std::ranges::any_of(answers_, [&](const auto& told) {
           const std::vector<GroupFacts>& facts = told.second.facts;
           return group < facts.size() && facts[group].leads && facts[group].term == highest;
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
  const bool mark_counts = bug_ != Bug::kForgettersFound;
  const bool all_new =
      all_forgot && (may_found_ || !mark_counts) && std::ranges::all_of(layout_.nodes, [&](NodeId node) {
        return node == self_ || (answers_.at(node).agrees && (answers_.at(node).may_found || !mark_counts));
      });
  nobody_remembers_ = all_forgot && !all_new;
  too_few_remember_ = false;
  bool enough = true;
  for (std::size_t g = 0; g < groups_told_of() && !all_new; ++g) {
    const Heard heard = heard_of(g);
    enough &= heard == Heard::kEnough && (rounds_ >= kRoundsWithoutLeader || hears_leader(g));
    too_few_remember_ |= heard == Heard::kForgotten && !may_found_;  // one that is new has lost nothing
  }
  if (!enough) return std::nullopt;
  EC_PROBE("a node without a log has heard enough to go on");
  asking_ = false;
  std::vector<GroupFacts> result(groups_told_of());
  for (std::size_t g = 0; g < result.size(); ++g) {
    if (!hears_leader(g)) EC_PROBE("a node without a log goes on though nobody leads");
    result[g].term = Term{highest_term(g).value + (hears_leader(g) ? 0 : 1)};
    for (const auto& [node, answer] : answers_) {
      if (g < answer.facts.size()) result[g].last = std::max(result[g].last, answer.facts[g].last);
    }
  }
  return result;
}

}  // namespace evercert::store
