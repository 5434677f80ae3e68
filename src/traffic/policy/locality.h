// SPDX-License-Identifier: Apache-2.0
// Near first, and further away only what the near ones cannot take. Source: Envoy's priority levels and zone-aware
// routing, with load in place of health shares: what is near spills over when it is busy, not only when it is gone.
// Pure, without state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace evercert::traffic {

enum class Distance : std::uint8_t {
  kZone,    // the same zone
  kRegion,  // another zone of the region: about 0.5 ms
  kRemote,  // another region: 64 ms and more; which of them is left to the answer times
};
inline constexpr std::size_t kDistances = 3;

struct TierLoad {
  double in_flight = 0;
  double capacity = 0;  // how many may be in flight at those that are well; 0: none is
};

// From which utilisation on a tier sends to the next. Leaving the zone is cheap, so half a node's limit is enough, and
// nothing waits there yet; leaving the region costs more than to wait a little, so the region is filled first.
using SpillAt = std::array<double, kDistances>;
inline constexpr SpillAt kSpillAt{0.5, 1.0, 1.0};

// The nearest tier that is below its threshold; when all are above, the least utilised. Nothing: no tier has capacity.
inline std::optional<std::size_t> choose_tier(std::span<const TierLoad, kDistances> tiers,
                                              const SpillAt& spill_at = kSpillAt) {
  std::optional<std::size_t> least;
  double least_utilised = 0;
  for (std::size_t i = 0; i < tiers.size(); ++i) {
    if (tiers[i].capacity <= 0) continue;
    const double utilised = tiers[i].in_flight / tiers[i].capacity;
    if (utilised < spill_at[i]) return i;
    if (!least || utilised < least_utilised) {
      least = i;
      least_utilised = utilised;
    }
  }
  return least;
}

}  // namespace evercert::traffic
