// SPDX-License-Identifier: Apache-2.0
// Whether this node's wall clock may be believed: its offset from the median of all nodes' clocks, its own included.
// Certificates carry dates, so a node that is far off must not sign (RFC 5280 section 4.1.2.5). Pure.
#pragma once

#include <map>

#include "base/ids.h"
#include "base/time.h"

namespace evercert::store {

class ClockWatch {
 public:
  explicit ClockWatch(Duration tolerance = 10s) : tolerance_(tolerance) {}

  // A peer's wall clock read `peer`; half the round trip before `received`, when our wall clock read `own`.
  void report(NodeId from, WallTime peer, WallTime own, Duration round_trip, Instant received);
  // Reports older than a minute are left out. With fewer than two peers heard there is no majority to be off from.
  bool trusted(Instant now) const;
  // Own clock minus the median, in milliseconds.
  std::int64_t offset_ms(Instant now) const;

 private:
  struct Report {
    std::int64_t offset_ms;  // peer's clock minus ours
    Instant at;
  };
  Duration tolerance_;
  std::map<NodeId, Report> reports_;
};

}  // namespace evercert::store
