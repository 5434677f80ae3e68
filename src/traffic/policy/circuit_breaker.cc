// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/circuit_breaker.h"

#include <algorithm>

#include "traffic/policy/subset.h"

namespace evercert::traffic {

BreakerState CircuitBreaker::state(Instant now) const {
  return state_ == BreakerState::kOpen && now >= until_ ? BreakerState::kHalfOpen : state_;
}

bool CircuitBreaker::admits(Instant now) const {
  switch (state(now)) {
    case BreakerState::kClosed: return true;
    case BreakerState::kOpen: return false;
    case BreakerState::kHalfOpen: return state_ == BreakerState::kOpen || probing_ < options_.probes_at_once;
  }
  return false;
}

void CircuitBreaker::settle(Instant now) {
  if (state_ == BreakerState::kOpen && now >= until_) next_phase(BreakerState::kHalfOpen);
}

void CircuitBreaker::next_phase(BreakerState state) {
  state_ = state;
  ++phase_;
  probing_ = passed_ = 0;
}

CircuitBreaker::Ticket CircuitBreaker::started(Instant now) {
  settle(now);
  if (state_ == BreakerState::kHalfOpen) ++probing_;
  return phase_;
}

void CircuitBreaker::finished(Ticket ticket, CallVerdict verdict, Duration took, Instant now) {
  settle(now);
  if (ticket != phase_) return;
  const bool slow = took >= options_.slow_after;
  if (state_ == BreakerState::kHalfOpen) {
    --probing_;
    if (verdict == CallVerdict::kNone) return;
    if (verdict == CallVerdict::kFailed || slow) {
      open(now);
    } else if (++passed_ >= options_.probes_to_close) {
      close(now);
    }
    return;
  }
  if (verdict == CallVerdict::kNone) return;
  if (state_ == BreakerState::kOpen) {
    // Asked although it is open, since nobody else was left. Good answers in a row end the waiting.
    passed_ = verdict == CallVerdict::kGood && !slow ? passed_ + 1 : 0;
    if (passed_ >= options_.probes_to_close) next_phase(BreakerState::kHalfOpen);
    return;
  }
  advance(now);
  Counts& slice = slices_[static_cast<std::size_t>(at_) % kSlices];
  for (Counts* counts : {&slice, &all_}) {
    ++counts->calls;
    if (verdict == CallVerdict::kFailed) ++counts->failed;
    if (slow) ++counts->slow;
  }
  if (all_.calls < options_.least_calls) return;
  const double calls = all_.calls;
  if (all_.failed >= options_.failed_share * calls || all_.slow >= options_.slow_share * calls) open(now);
}

void CircuitBreaker::open(Instant now) {
  const bool soon = opened_ != 0 && (state_ == BreakerState::kHalfOpen || now - closed_ < options_.longest_open);
  openings_in_a_row_ = soon ? std::min(openings_in_a_row_ + 1, 30) : 1;
  ++opened_;
  Duration length = options_.open_for;
  for (int i = 1; i < openings_in_a_row_ && length < options_.longest_open; ++i) length *= 2;
  length = std::min(length, options_.longest_open);
  // Up to a quarter longer, by chance.
  const auto quarter = static_cast<std::uint64_t>(std::max<std::int64_t>(length.count() / 4, 1));
  until_ = now + length + Duration{static_cast<std::int64_t>(mix(salt_ + opened_) % quarter)};
  next_phase(BreakerState::kOpen);
}

void CircuitBreaker::close(Instant now) {
  closed_ = now;
  all_ = {};
  slices_.fill({});
  next_phase(BreakerState::kClosed);
}

void CircuitBreaker::advance(Instant now) {
  const std::int64_t slice = std::max<std::int64_t>(options_.window.count() / static_cast<std::int64_t>(kSlices), 1);
  const std::int64_t current = now.us / slice;
  if (current <= at_) return;
  if (current - at_ >= static_cast<std::int64_t>(kSlices)) {
    all_ = {};
    slices_.fill({});
    at_ = current;
    return;
  }
  while (at_ < current) {
    Counts& old = slices_[static_cast<std::size_t>(++at_) % kSlices];
    all_.calls -= old.calls;
    all_.failed -= old.failed;
    all_.slow -= old.slow;
    old = {};
  }
}

}  // namespace evercert::traffic
