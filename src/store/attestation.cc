// SPDX-License-Identifier: Apache-2.0
#include "store/attestation.h"

#include <bit>

namespace evercert::store {

PromiseWatch::PromiseWatch(RegionId own, Instant start) : own_(own), times_(kMostRegions + 1u, Times{start, start}) {}

void PromiseWatch::saw(RegionSet in_some, RegionSet in_all, RegionSet counted, Instant now) {
  const RegionSet heard = (in_some | region_bit(own_)) & counted;
  const bool alone = std::popcount(heard) <= std::popcount(counted) / 2;
  for (std::uint8_t r = 1; r <= kMostRegions; ++r) {
    const RegionSet bit = region_bit(RegionId{r});
    if (alone || (in_some & bit) != 0) times_[r].promised = now;
    if (alone || (in_all & bit) == 0) times_[r].held_since = now;
  }
}

void PromiseWatch::forget(Instant now) {
  for (Times& times : times_) times = {now, now};
}

RegionWord PromiseWatch::word(RegionId region, Instant now) const {
  if (region == own_) return {region, Duration{0}, Duration{0}};
  const Times& times = times_.at(region.value);
  return {region, now - times.promised, now - times.held_since};
}

void AttestationBook::told(NodeId from, Instant sent, Epoch epoch, std::vector<RegionWord> words, Instant now) {
  Last& last = last_[from];
  if (sent < last.sent) return;
  last = {sent, now, epoch, std::move(words)};
}

template <class Says>
RegionSet AttestationBook::regions_that(Says says, RegionId region, Epoch epoch, Instant now) const {
  std::map<RegionId, std::size_t> nodes;
  for (const auto& [node, last] : last_) {
    if (last.epoch != epoch || now - last.received > valid_ || region_of(node) == region) continue;
    for (const RegionWord& word : last.words) {
      if (word.region != region || !says(word)) continue;
      ++nodes[region_of(node)];
      break;
    }
  }
  RegionSet set = 0;
  for (const auto& [attesting, count] : nodes) {
    if (count >= layout_.region_quorum(attesting)) set |= region_bit(attesting);
  }
  return set;
}

RegionSet AttestationBook::silent(RegionId region, Duration least, Epoch epoch, Instant now) const {
  return regions_that([&](const RegionWord& word) { return word.silent >= least; }, region, epoch, now);
}

RegionSet AttestationBook::held(RegionId region, Duration least, Epoch epoch, Instant now) const {
  return regions_that([&](const RegionWord& word) { return word.held >= least; }, region, epoch, now);
}

}  // namespace evercert::store
