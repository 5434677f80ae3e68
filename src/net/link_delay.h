// SPDX-License-Identifier: Apache-2.0
// The emulated WAN: how long a message takes from one region to another. Pure but for the random numbers given.
#pragma once

#include <map>
#include <utility>

#include "base/env.h"
#include "base/ids.h"

namespace evercert::net {

struct RoundTrip {
  double p50_ms = 0, p90_ms = 0;
};

// Round trips by pair of regions; a log-normal spread is fitted to the two quantiles.
struct LinkDelays {
  std::map<std::pair<RegionId, RegionId>, RoundTrip> links;  // lower region first; missing: no delay
  bool empty() const { return links.empty(); }
};

Duration sample_round_trip(const LinkDelays& delays, RegionId a, RegionId b, Random& random);

}  // namespace evercert::net
