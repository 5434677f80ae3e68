// SPDX-License-Identifier: Apache-2.0
// Compartments of a bounded number of places: one that is full does not sink the others. Each has places that nobody
// else can take, and may use common ones up to its own most. Source: Nygard, "Release It!". Pure; one thread, or a
// mutex of the caller; O(1).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace evercert::traffic {

template <std::size_t N>
class Bulkhead {
 public:
  struct Compartment {
    std::uint32_t reserved = 0;  // always its own
    std::uint32_t most = 0;      // with common places; below `reserved` counts as `reserved`
  };

  // `common`: places that are nobody's own. All together: common + the sum of those reserved.
  Bulkhead(std::uint32_t common, std::array<Compartment, N> compartments)
      : common_(common), compartments_(compartments) {
    for (Compartment& c : compartments_) c.most = std::max(c.most, c.reserved);
  }

  // Takes a place; whoever got one owes a leave().
  bool enter(std::size_t compartment) {
    const Compartment& c = compartments_.at(compartment);
    std::uint32_t& used = used_[compartment];
    if (used >= c.most) return false;
    if (used >= c.reserved) {
      if (common_used_ == common_) return false;
      ++common_used_;
    }
    ++used;
    return true;
  }
  void leave(std::size_t compartment) {
    std::uint32_t& used = used_.at(compartment);
    EC_CHECK(used > 0, "more left a compartment than had entered it");
    if (used > compartments_[compartment].reserved) --common_used_;
    --used;
  }
  std::uint32_t used(std::size_t compartment) const { return used_.at(compartment); }

 private:
  std::uint32_t common_, common_used_ = 0;
  std::array<Compartment, N> compartments_;
  std::array<std::uint32_t, N> used_{};
};

}  // namespace evercert::traffic
