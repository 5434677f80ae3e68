// SPDX-License-Identifier: Apache-2.0
#include "demo/lag_watch.h"

#include <algorithm>

namespace evercert::demo {

void LagWatch::read(std::size_t region, Counts counts) {
  const auto [known, first] = regions_.try_emplace(region, Region{counts, {}});
  known->second.last = std::move(counts);
}

std::int64_t LagWatch::p99_ms() const {
  std::int64_t worst = 0;
  for (const auto& [number, region] : regions_) {
    for (const auto& [name, last] : region.last) {
      const auto first = region.first.find(name);
      const store::LagCounts none;
      worst = std::max(worst, store::quantile_between(first == region.first.end() ? none : first->second, last, 0.99));
    }
  }
  return worst;
}

}  // namespace evercert::demo
