// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/outlier_ejection.h"

#include <algorithm>
#include <cmath>

namespace evercert::traffic {

std::size_t OutlierEjection::add() {
  all_.emplace_back();
  return all_.size() - 1;
}

std::size_t OutlierEjection::floor() const {
  const auto share = std::ceil(options_.floor_share * static_cast<double>(all_.size()));
  return std::max<std::size_t>(static_cast<std::size_t>(share), 1);
}

void OutlierEjection::succeeded(std::size_t at) {
  Endpoint& endpoint = all_[at];
  endpoint.in_a_row = 0;
  ++endpoint.calls;
  ++endpoint.good;
}

void OutlierEjection::failed(std::size_t at, Instant now) {
  Endpoint& endpoint = all_[at];
  ++endpoint.calls;
  if (++endpoint.in_a_row >= options_.failures_in_a_row) eject(endpoint, now);
}

void OutlierEjection::out_of_reach(std::size_t at, bool is, bool by_checks, Instant now) {
  Endpoint& endpoint = all_[at];
  const bool before = endpoint.unreachable;
  endpoint.unreachable = is;
  if (!is) return;
  if (!before) {
    const std::size_t wanted = std::min<std::size_t>(static_cast<std::size_t>(options_.flaps), endpoint.flapped.size());
    endpoint.flapped[endpoint.flap % endpoint.flapped.size()] = now;
    ++endpoint.flap;
    ++endpoint.flaps;
    if (wanted > 0 && endpoint.flaps >= wanted) {
      const Instant oldest = endpoint.flapped[(endpoint.flap - wanted) % endpoint.flapped.size()];
      if (now - oldest <= options_.flap_window) eject(endpoint, now);
    }
  }
  if (by_checks) eject(endpoint, now, false);
}

void OutlierEjection::eject(Endpoint& endpoint, Instant now, bool shun) {
  if (endpoint.out) endpoint.shunned = endpoint.shunned || shun;
  if (endpoint.out || in() <= floor()) return;
  if (endpoint.changes != 0) {
    if (now - endpoint.changed < options_.dwell) return;
    // In for a long time: what was before is forgiven.
    if (now - endpoint.changed >= options_.longest) endpoint.times = 0;
  }
  endpoint.out = true;
  endpoint.shunned = shun;
  ++out_;
  ++endpoint.times;
  ++endpoint.changes;
  endpoint.changed = now;
  const Duration length = std::max(std::min(options_.base * endpoint.times, options_.longest), options_.dwell);
  endpoint.until = now + length;
  next_return_ = std::min(next_return_, endpoint.until);
}

void OutlierEjection::tick(Instant now) {
  if (now >= next_return_) {
    next_return_ = Instant{INT64_MAX};
    for (Endpoint& endpoint : all_) {
      if (!endpoint.out) continue;
      if (now >= endpoint.until) {
        if (endpoint.unreachable) {
          endpoint.until = now + 1s;  // back soon after it can be reached
        } else {
          endpoint.out = false;
          --out_;
          ++endpoint.changes;
          endpoint.changed = now;
          endpoint.in_a_row = 0;
          continue;
        }
      }
      next_return_ = std::min(next_return_, endpoint.until);
    }
  }
  if (next_compare_.us == INT64_MIN) next_compare_ = now + options_.interval;
  if (now >= next_compare_) {
    compare(now);
    next_compare_ = now + options_.interval;
  }
}

void OutlierEjection::compare(Instant now) {
  const auto counts = [&](const Endpoint& e) { return !e.out && e.calls >= options_.least_calls; };
  const auto share = [](const Endpoint& e) { return static_cast<double>(e.good) / e.calls; };
  double sum = 0, squares = 0;
  std::size_t n = 0;
  for (const Endpoint& endpoint : all_) {
    if (!counts(endpoint)) continue;
    sum += share(endpoint);
    squares += share(endpoint) * share(endpoint);
    ++n;
  }
  if (n >= std::max<std::size_t>(options_.least_endpoints, 2)) {
    for (Endpoint& endpoint : all_) {
      if (!counts(endpoint) || 1 - share(endpoint) < options_.least_failed) continue;
      // Against the others alone: among few, an outlier in the sum widens the deviation until it hides itself.
      const double others = static_cast<double>(n - 1), own = share(endpoint);
      const double mean = (sum - own) / others;
      const double variance = std::max(0.0, (squares - own * own) / others - mean * mean);
      const double margin = std::max(options_.deviations * std::sqrt(variance), options_.least_failed);
      if (own < mean - margin) eject(endpoint, now);
    }
  }
  for (Endpoint& endpoint : all_) endpoint.calls = endpoint.good = 0;
}

}  // namespace evercert::traffic
