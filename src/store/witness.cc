// SPDX-License-Identifier: Apache-2.0
#include "store/witness.h"

#include <algorithm>
#include <bit>

namespace evercert::store {

void WitnessLog::reached(RegionId region, Position position) {
  Position& known = reached_[region];
  known = std::max(known, position);
}

LogIndex WitnessLog::may_cut(RegionSet storing, LogIndex first, LogIndex applied, std::uint64_t most,
                             const std::function<Result<Term>(LogIndex)>& term_of) const {
  const LogIndex beginning{first.value - 1};
  std::optional<Position> least;
  for (std::uint8_t r = 1; r <= kMostRegions; ++r) {
    if ((storing & region_bit(RegionId{r})) == 0) continue;
    const auto known = reached_.find(RegionId{r});
    const Position position = known == reached_.end() ? Position{} : known->second;
    least = std::min(least.value_or(position), position);
  }
  // In Raft's vote order: a log that ends at or beyond a settled entry holds it. Positions grow along the log.
  LogIndex low = beginning, high = applied;
  while (low < high) {
    const LogIndex middle{low.value + (high.value - low.value + 1) / 2};
    const auto term = term_of(middle);
    if (term && least && Position{*term, middle} <= *least) {
      low = middle;
    } else {
      high = LogIndex{middle.value - 1};
    }
  }
  return applied.value > most ? std::max(low, LogIndex{applied.value - most}) : low;
}

Status same_witnesses(RegionSet of_cluster, RegionSet of_file) {
  if (of_cluster == of_file) return {};
  const auto region = static_cast<unsigned>(std::countr_zero(of_cluster ^ of_file));
  const bool is_one = (of_cluster >> region & 1) != 0;
  return fail(Code::kInvalid, "region " + std::to_string(region) + " of the cluster file is " +
                                  (is_one ? "no witness, and is one in the cluster: give it 'witness: true'"
                                          : "a witness, and is none in the cluster: take 'witness: true' away"));
}

RegionSet storing_regions(const Layout& layout) {
  RegionSet set = 0;
  for (const NodeId node : layout.nodes) set |= region_bit(region_of(node));
  return set & ~layout.witnesses;
}

}  // namespace evercert::store
