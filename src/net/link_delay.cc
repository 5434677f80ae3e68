// SPDX-License-Identifier: Apache-2.0
#include "net/link_delay.h"

#include <cmath>
#include <numbers>

namespace evercert::net {

Duration sample_round_trip(const LinkDelays& delays, RegionId a, RegionId b, Random& random) {
  const auto found = delays.links.find({std::min(a, b), std::max(a, b)});
  if (found == delays.links.end()) return Duration{0};
  const auto& [p50, p90] = found->second;
  const auto uniform = [&] { return (static_cast<double>(random.next() >> 11) + 0.5) * 0x1.0p-53; };
  const double normal = std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform());
  const double sigma = std::log(p90 / p50) / 1.2816;  // the 90 % quantile of the normal distribution
  // Beyond three deviations a real path would have lost the packet; the emulation loses none.
  const double ms = p50 * std::exp(sigma * std::clamp(normal, -3.0, 3.0));
  return Duration{static_cast<std::int64_t>(ms * 1000)};
}

}  // namespace evercert::net
