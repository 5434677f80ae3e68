// SPDX-License-Identifier: Apache-2.0
// In which mode a node works, since when and why. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace evercert::degraded {

// kNoMajority: no group has a leader, writes are queued or refused, signed answers go on. kPartial: some groups have
// none. kReconciling: there is a majority again, and work that was queued is being carried out.
enum class Mode { kNormal, kReconciling, kPartial, kNoMajority };
std::string_view to_string(Mode mode);

struct ModeView {
  Mode mode = Mode::kNormal;
  WallTime since;
  std::string why;         // empty when all is normal
  std::uint64_t lost = 0;  // groups without a majority, one bit each
  bool has_lost(GroupId group) const { return group.value < 64 && (lost >> group.value & 1) != 0; }
  bool anything_lost() const { return lost != 0; }
};

class ModeWatch {
 public:
  // Names by group: the global one first.
  ModeWatch(std::vector<std::string> names, WallTime now) : names_(std::move(names)) { view_.since = now; }

  // By group: for how many ms it has had no majority; nothing while it has one. `waiting`: operations in the queue.
  // A line for the log when the mode has changed.
  std::optional<std::string> look(const std::vector<std::optional<std::int64_t>>& lost_ms, std::size_t waiting,
                                  WallTime now);
  const ModeView& view() const { return view_; }

 private:
  std::vector<std::string> names_;
  ModeView view_;
};

}  // namespace evercert::degraded
