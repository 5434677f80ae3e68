// SPDX-License-Identifier: Apache-2.0
#include "degraded/mode.h"

#include <algorithm>
#include <utility>

#include "base/rfc3339.h"

namespace evercert::degraded {

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::kNormal: return "normal";
    case Mode::kReconciling: return "reconciling";
    case Mode::kPartial: return "partial";
    case Mode::kNoMajority: return "no_majority";
  }
  return "unknown";
}

std::optional<std::string> ModeWatch::look(const std::vector<std::optional<std::int64_t>>& lost_ms, std::size_t waiting,
                                           WallTime now) {
  std::uint64_t lost = 0;
  std::int64_t longest = 0;
  std::string names;
  std::size_t count = 0;
  for (std::size_t group = 0; group < lost_ms.size() && group < 64; ++group) {
    if (!lost_ms[group]) continue;
    lost |= std::uint64_t{1} << group;
    longest = std::max(longest, *lost_ms[group]);
    names += (names.empty() ? "" : ", ") + (group < names_.size() ? names_[group] : std::to_string(group));
    ++count;
  }
  Mode mode = Mode::kNormal;
  if (count > 0) {
    mode = count == lost_ms.size() ? Mode::kNoMajority : Mode::kPartial;
  } else if (waiting > 0) {
    mode = Mode::kReconciling;
  }
  if (mode == view_.mode && lost == view_.lost) return std::nullopt;
  const ModeView before = std::exchange(view_, {});
  view_.mode = mode;
  view_.lost = lost;
  // While it gets better or worse, it counts from when it began.
  view_.since = lost != 0 && before.lost != 0 ? before.since : WallTime{now.ms - (lost != 0 ? longest : 0)};
  switch (mode) {
    case Mode::kNormal: break;
    case Mode::kReconciling: view_.why = "a majority is back, and work that was queued is being carried out"; break;
    case Mode::kPartial: view_.why = "no majority of the nodes can be reached for: " + names; break;
    case Mode::kNoMajority: view_.why = "no majority of the nodes can be reached from here"; break;
  }
  std::string line = "mode: " + std::string(to_string(mode)) + ", after " + std::string(to_string(before.mode)) +
                     " since " + rfc3339(before.since.ms);
  if (!view_.why.empty()) line += ": " + view_.why;
  return line;
}

}  // namespace evercert::degraded
