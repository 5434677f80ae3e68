// SPDX-License-Identifier: Apache-2.0
#include "health/verdict.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace evercert::health {
namespace {

constexpr std::size_t kLongestReason = 200;  // it came from outside

}  // namespace

void Verdicts::said(RegionId observer, RegionId region, double score, std::string why, Instant now) {
  if (!(score >= 0 && score <= 100)) return;
  why.resize(std::min(why.size(), kLongestReason));
  regions_[region].words[observer] = {score, std::move(why), now};
}

bool Verdicts::out(RegionId region) const {
  const auto found = regions_.find(region);
  return found != regions_.end() && found->second.out;
}

std::string Verdicts::evidence(const Region& region, Instant now) const {
  std::string text;
  for (const auto& [observer, word] : region.words) {
    if (now - word.at > options_.fresh) continue;
    text += (text.empty() ? "region " : ", region ") + std::to_string(observer.value) + " says " +
            std::to_string(std::lround(word.score)) + (word.why.empty() ? "" : " (" + word.why + ")");
  }
  return text;
}

std::vector<Verdicts::Change> Verdicts::review(Instant now) {
  std::vector<Change> changes;
  for (auto& [id, region] : regions_) {
    std::size_t bad = 0, good = 0;
    for (const auto& [observer, word] : region.words) {
      if (now - word.at > options_.fresh) continue;
      bad += word.score < options_.out_below ? 1 : 0;
      good += word.score >= options_.in_from ? 1 : 0;
    }
    if (!region.out) {
      if (bad < options_.agree) continue;
      const bool again = region.hold > 0s && now - region.changed < 4 * region.hold;
      region.hold = again ? std::min(2 * region.hold, options_.longest_hold) : options_.hold;
      region.out = true;
      region.well = false;
      region.changed = now;
      changes.push_back({id, true, evidence(region, now)});
      continue;
    }
    if (good < options_.agree || bad >= options_.agree) {
      region.well = false;
      continue;
    }
    if (!std::exchange(region.well, true)) region.well_since = now;
    if (now - region.well_since < region.hold) continue;
    region.out = false;
    region.changed = now;
    changes.push_back({id, false, evidence(region, now)});
  }
  return changes;
}

}  // namespace evercert::health
