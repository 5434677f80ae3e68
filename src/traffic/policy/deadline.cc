// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/deadline.h"

namespace evercert::traffic {

Result<Duration> parse_deadline(std::string_view text) {
  constexpr std::size_t kMostDigits = 9;  // eleven days; no sum of it overflows
  if (text.empty() || text.size() > kMostDigits)
    return fail(Code::kInvalid, std::string(kDeadlineHeader) + " has 1 to 9 digits");
  std::int64_t ms = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return fail(Code::kInvalid, std::string(kDeadlineHeader) + " has digits only");
    ms = ms * 10 + (c - '0');
  }
  return std::min<Duration>(Duration{ms * 1000}, kLongestDeadline);
}

std::string format_deadline(Duration left) {
  return std::to_string(std::clamp<Duration>(left, 0us, kLongestDeadline).count() / 1000);
}

Result<Duration> Deadline::for_next_hop(Instant now, Duration answer, Duration least) const {
  const Duration rest = left(now) - answer;
  if (rest < least) return fail(Code::kExpired, "no time is left to ask further");
  return rest;
}

}  // namespace evercert::traffic
