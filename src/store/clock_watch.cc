// SPDX-License-Identifier: Apache-2.0
#include "store/clock_watch.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace evercert::store {

void ClockWatch::report(NodeId from, WallTime peer, WallTime own, Duration round_trip, Instant received) {
  reports_[from] = {peer.ms + round_trip.count() / 2000 - own.ms, received};
}

std::int64_t ClockWatch::offset_ms(Instant now) const {
  std::vector<std::int64_t> offsets{0};
  for (const auto& [node, report] : reports_) {
    if (now - report.at < 60s) offsets.push_back(report.offset_ms);
  }
  if (offsets.size() < 3) return 0;
  std::sort(offsets.begin(), offsets.end());
  const std::size_t middle = offsets.size() / 2;
  const std::int64_t median = offsets.size() % 2 == 1 ? offsets[middle] : (offsets[middle - 1] + offsets[middle]) / 2;
  return -median;
}

bool ClockWatch::trusted(Instant now) const { return std::llabs(offset_ms(now)) * 1000 <= tolerance_.count(); }

}  // namespace evercert::store
