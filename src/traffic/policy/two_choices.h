// SPDX-License-Identifier: Apache-2.0
// The better of two drawn at random: nearly as even as asking all, and without the herd that runs to the one that
// looked best a moment ago. Source: Mitzenmacher, "The power of two choices in randomized load balancing" (2001). Pure,
// without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"

namespace evercert::traffic {

// One of `candidates`, which is not empty. `chance`: 64 random bits. `load(candidate)`: less is better; asked twice at
// most.
template <class Load>
std::uint16_t two_choices(std::span<const std::uint16_t> candidates, std::uint64_t chance, Load&& load) {
  EC_CHECK(!candidates.empty(), "nobody to choose from");
  if (candidates.size() == 1) return candidates.front();
  const std::uint64_t n = candidates.size();
  const std::uint64_t first = ((chance & 0xffffffff) * n) >> 32;
  std::uint64_t second = ((chance >> 32) * (n - 1)) >> 32;
  if (second >= first) ++second;
  const std::uint16_t a = candidates[first], b = candidates[second];
  return load(b) < load(a) ? b : a;
}

}  // namespace evercert::traffic
