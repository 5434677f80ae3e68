// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/renewal.h"

#include <algorithm>

namespace evercert::traffic {
namespace {

constexpr std::int64_t kFirstWaitMs = 5000, kLongestWaitMs = 3600 * 1000, kShortestLongestMs = 10'000;
// Of one that has expired, or was never there.
constexpr std::int64_t kLongestWaitWithoutMs = 300 * 1000;

WallTime between(WallTime a, WallTime b, double chance) {
  return {a.ms + static_cast<std::int64_t>(chance * static_cast<double>(std::max<std::int64_t>(b.ms - a.ms, 0)))};
}

}  // namespace

void Renewal::installed(const Validity& validity, double chance) {
  validity_ = validity;
  window_.reset();
  failures_ = 0;
  not_before_ = {};
  wanted_ = false;
  const std::int64_t life = life_ms();
  due_ = between({validity.not_before.ms + life / 3 * 2}, {validity.not_before.ms + life / 4 * 3}, chance);
}

void Renewal::suggested(WallTime start, WallTime end, double chance) {
  if (!validity_ || end < start || window_ == std::pair(start, end)) return;
  window_ = {start, end};
  if (wanted_) return;
  // However the server reckons, a tenth of its life is left for what may fail.
  const WallTime latest{validity_->not_after.ms - life_ms() / 10};
  due_ = std::min(between(start, end, chance), latest);
}

void Renewal::failed(WallTime now, double chance) {
  ++failures_;
  std::int64_t longest = kLongestWaitWithoutMs;
  if (validity_ && now < validity_->not_after)
    longest = std::clamp((validity_->not_after.ms - now.ms) / 8, kShortestLongestMs, kLongestWaitMs);
  const std::int64_t wait = std::min(kFirstWaitMs << std::min(failures_ - 1, 12), longest);
  not_before_ = {now.ms + static_cast<std::int64_t>(static_cast<double>(wait) * (0.75 + chance / 2))};
}

Renewal::Alarm Renewal::alarm(WallTime now) const {
  if (!validity_) return Alarm::kNone;
  if (now >= validity_->not_after) return Alarm::kExpired;
  return validity_->not_after.ms - now.ms <= life_ms() / 8 ? Alarm::kNearEnd : Alarm::kNone;
}

}  // namespace evercert::traffic
