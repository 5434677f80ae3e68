// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/incident_times.h"

#include <algorithm>
#include <utility>

namespace evercert::recovery {

IncidentTimes times_of(const Incident& incident) {
  IncidentTimes times;
  // One of an earlier version, which did not look at the beginning.
  if (incident.began == Instant{}) return times;
  const auto since = [&](Instant at) { return std::max<Duration>(0us, at - incident.began); };
  if (incident.ordered_by.empty()) times.detected = since(incident.opened);
  if (incident.relieved != Instant{}) times.relieved = since(incident.relieved);
  if (incident.phase == Phase::kClosed) times.over = since(incident.changed);
  return times;
}

void TimesTaken::look(const std::vector<Incident>& incidents) {
  const bool counts = std::exchange(seeded_, true);
  std::map<std::uint64_t, std::array<bool, kParts>> counted;
  for (const Incident& incident : incidents) {
    const IncidentTimes times = times_of(incident);
    const std::array<std::optional<Duration>, kParts> parts{times.detected, times.relieved, times.over};
    const auto before = counted_.find(incident.id);
    auto& now = counted[incident.id];
    for (std::size_t part = 0; part < kParts; ++part) {
      now[part] = parts[part].has_value();
      const bool known = before != counted_.end() && before->second[part];
      if (!counts || !parts[part] || known) continue;
      ++sums_[part].count;
      sums_[part].took += *parts[part];
    }
  }
  counted_ = std::move(counted);
}

}  // namespace evercert::recovery
