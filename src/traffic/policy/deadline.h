// SPDX-License-Identifier: Apache-2.0
// Deadlines that travel: each hop is told how much time is left, not when it ends, since no two machines' clocks agree.
// Source: gRPC's grpc-timeout. Pure, without state.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace evercert::traffic {

// Whole milliseconds in decimal digits. Between edges and nodes; from anybody else it is dropped with the rest of
// "Evercert-".
inline constexpr std::string_view kDeadlineHeader = "Evercert-Deadline-Ms";
inline constexpr Duration kLongestDeadline = 120s;  // longer ones count as this

// kInvalid: anything but 1 to 9 digits. 0 is a deadline that has passed.
Result<Duration> parse_deadline(std::string_view text);
// What is left, rounded down; 0 when nothing is.
std::string format_deadline(Duration left);

class Deadline {
 public:
  // `most`: what this hop grants; `told`: what the hop before grants (parse_deadline), or more.
  Deadline(Instant now, Duration most, Duration told = kLongestDeadline)
      : at_(now + std::max<Duration>(std::min({most, told, kLongestDeadline}), 0us)) {}

  Instant at() const { return at_; }
  // Never below 0.
  Duration left(Instant now) const { return std::max<Duration>(at_ - now, 0us); }
  bool passed(Instant now) const { return now >= at_; }
  // What the next hop may take, so that `answer` is left to bring what it says back to whoever asked. kExpired: not
  // even `least` would be left, so nothing shall be begun.
  Result<Duration> for_next_hop(Instant now, Duration answer, Duration least = 1ms) const;

 private:
  Instant at_;
};

}  // namespace evercert::traffic
