// SPDX-License-Identifier: Apache-2.0
// Whether a group has been without a leader for so long that waiting for one is pointless: no majority can be reached
// from here. Writes are then refused and reads answered as possibly stale at once, instead of after a time-out each.
// Pure.
#pragma once

#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace evercert::store {

class QuorumWatch {
 public:
  // `after`: elections must surely be over by then.
  QuorumWatch(std::size_t groups, Duration after, Instant now) : after_(after), led_at_(groups, now) {}

  // Call often, at the least once a tick.
  void saw(GroupId group, bool has_leader, Instant now) {
    if (has_leader) led_at_[group.value] = now;
  }
  // Since when there has been no leader; nothing while there is hope.
  std::optional<Instant> lost_since(GroupId group, Instant now) const {
    const Instant led = led_at_[group.value];
    return now - led < after_ ? std::nullopt : std::optional(led);
  }

 private:
  Duration after_;
  std::vector<Instant> led_at_;
};

}  // namespace evercert::store
