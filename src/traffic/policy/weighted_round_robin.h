// SPDX-License-Identifier: Apache-2.0
// Smooth weighted round robin: each gets turns in proportion to its weight, and the turns of a heavy one are spread out
// instead of coming in a row. For choices without a memory of load: DNS answers, canaries among equals, warm spares.
// Source: the algorithm that nginx has had since 1.3.1. Pure; one thread, or a mutex of the caller. A choice costs
// O(entries) and allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace evercert::traffic {

class WeightedRoundRobin {
 public:
  // The number of the entry. Weight 0: never chosen.
  std::size_t add(std::uint32_t weight) {
    entries_.push_back({static_cast<std::int64_t>(weight), 0});
    return entries_.size() - 1;
  }
  // What it has not yet been given of its turns is forgotten, so that a weight that falls does not echo.
  void set_weight(std::size_t entry, std::uint32_t weight) {
    entries_.at(entry) = {static_cast<std::int64_t>(weight), 0};
  }

  // The next among those that `usable(entry)` accepts; who is left out now does not catch up later. Nothing: there is
  // none.
  template <class Usable>
  std::optional<std::size_t> next(Usable&& usable) {
    std::int64_t total = 0;
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      Entry& entry = entries_[i];
      if (entry.weight == 0 || !usable(i)) continue;
      entry.credit += entry.weight;
      total += entry.weight;
      if (!best || entry.credit > entries_[*best].credit) best = i;
    }
    if (best) entries_[*best].credit -= total;
    return best;
  }
  std::optional<std::size_t> next() {
    return next([](std::size_t) { return true; });
  }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::int64_t weight = 0, credit = 0;
  };
  std::vector<Entry> entries_;
};

}  // namespace evercert::traffic
