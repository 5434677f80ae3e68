// SPDX-License-Identifier: Apache-2.0
// The place that a client comes back to: rendezvous hashing (Thaler and Ravishankar 1998), so that a place which goes
// or comes moves its own clients alone, and everybody who asks chooses the same without a word between them; with a
// bound on load (Mirrokni, Thorup, Zadimoghaddam 2016), so that a client who is many does not drown one place. Pure;
// O(places).
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>

#include "traffic/policy/subset.h"

namespace evercert::traffic {

struct StickyPlace {
  std::uint64_t name = 0;  // stable_hash
  int in_flight = 0;
  bool well = false;
};

inline constexpr double kStickyBound = 1.25;  // so many times the mean, and
inline constexpr double kStickySlack = 4;     // so many more: few requests need not be spread

// Of those that are well and not above the bound, the first in the client's order. Nothing: there is none.
inline std::optional<std::size_t> sticky_place(std::uint64_t client, std::span<const StickyPlace> places) {
  double total = 1, well = 0;
  for (const auto& place : places) {
    if (!place.well) continue;
    total += place.in_flight;
    ++well;
  }
  if (well == 0) return std::nullopt;
  const double most = std::ceil(kStickyBound * total / well) + kStickySlack;
  std::optional<std::size_t> best;
  std::uint64_t best_weight = 0;
  for (std::size_t at = 0; at < places.size(); ++at) {
    if (!places[at].well || places[at].in_flight >= most) continue;
    const std::uint64_t weight = mix(mix(client + 0x9e3779b97f4a7c15) ^ places[at].name);
    if (best && weight <= best_weight) continue;
    best = at;
    best_weight = weight;
  }
  return best;
}

}  // namespace evercert::traffic
