// SPDX-License-Identifier: Apache-2.0
#include "store/recovery.h"

#include "base/probe.h"

namespace evercert::store {

Recovery::Recovery(const Layout& layout, NodeId self, bool recovering)
    : layout_(&layout), self_(self), asking_(recovering && layout.nodes.size() > 1) {}

std::optional<std::vector<Recovery::GroupFacts>> Recovery::told(NodeId from, bool other_recovering,
                                                                std::vector<GroupFacts> facts) {
  if (!asking_ || from == self_ || facts.size() != layout_->groups()) return std::nullopt;
  answers_[from] = {other_recovering, std::move(facts)};
  std::size_t remembering = 0;
  for (const auto& [node, answer] : answers_) remembering += answer.recovering ? 0 : 1;
  const std::size_t enough = layout_->nodes.size() - layout_->majority() + 1;
  if (remembering < enough && answers_.size() + 1 < layout_->nodes.size()) return std::nullopt;
  EC_PROBE("a node without a log has heard enough to go on");
  asking_ = false;
  std::vector<GroupFacts> result(layout_->groups());
  for (const auto& [node, answer] : answers_) {
    for (std::size_t g = 0; g < result.size(); ++g) {
      result[g].term = std::max(result[g].term, answer.facts[g].term);
      result[g].last = std::max(result[g].last, answer.facts[g].last);
    }
  }
  return result;
}

}  // namespace evercert::store
