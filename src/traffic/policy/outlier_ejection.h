// SPDX-License-Identifier: Apache-2.0
// Who does worse than the others leaves the rotation for a while. Source: Envoy's outlier detection, with two rules
// more: a floor that counts whoever is out for any reason it knows, and a least dwell.
//
// Out: after failures in a row; after going out of reach several times within a minute (flapping); when the checks say
// so; or when its share of good answers lies far below the others'. For 30 s the first time, 60 s the second, ... 5
// min. Dwell: no endpoint changes between in and out twice within `dwell`, either way. What it does wrong in the
// meantime is met by faster and gentler means (EndpointHealth, CircuitBreaker), which nobody outside hears of: what is
// told to others (the DNS, an operator) is this state. Floor: so many stay in, whatever they do: when most look bad, it
// is the looking, or the load, and fewer would make it worse.
//
// Pure; one thread, or a mutex of the caller. A result is O(1); tick() is O(endpoints) when something is due.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace evercert::traffic {

struct EjectionOptions {
  int failures_in_a_row = 5;
  int flaps = 3;  // times out of reach within `flap_window`
  Duration flap_window = 60s;
  Duration base = 30s, longest = 300s, dwell = 30s;
  double floor_share = 0.5;  // stays in, rounded up; one at least
  // The comparison of shares of good answers: every `interval`, over endpoints with so many calls in it.
  Duration interval = 10s;
  std::uint32_t least_calls = 100;
  std::size_t least_endpoints = 3;
  double deviations = 1.9;
  double least_failed = 0.05;  // below this share nobody is an outlier, however well the others do
};

class OutlierEjection {
 public:
  explicit OutlierEjection(EjectionOptions options = {}) : options_(options) {}
  std::size_t add();

  void succeeded(std::size_t endpoint);
  void failed(std::size_t endpoint, Instant now);
  // It could not be reached, or its checks failed (true); it can be again (false). Who cannot be at the end of its time
  // stays out.
  void out_of_reach(std::size_t endpoint, bool is, bool by_checks, Instant now);
  // Brings back whose time is over, compares when the interval is. Cheap when nothing is due.
  void tick(Instant now);

  // Out of the rotation, as others are told.
  bool ejected(std::size_t endpoint) const { return all_[endpoint].out; }
  // Not to be asked while others stand well: it failed, or came and went. One whose checks failed once (it was
  // restarted, or drained and put back) may be asked as soon as they are good again.
  bool shunned(std::size_t endpoint) const { return all_[endpoint].out && all_[endpoint].shunned; }
  std::size_t in() const { return all_.size() - out_; }
  std::size_t floor() const;
  std::uint64_t changes(std::size_t endpoint) const { return all_[endpoint].changes; }

 private:
  struct Endpoint {
    bool out = false, unreachable = false, shunned = false;
    int in_a_row = 0;
    std::array<Instant, 8> flapped{};
    std::size_t flap = 0;
    std::uint64_t flaps = 0;
    std::uint32_t calls = 0, good = 0;  // of this interval
    int times = 0;                      // ejected, less those forgiven
    std::uint64_t changes = 0;
    Instant changed, until;
  };
  void eject(Endpoint& endpoint, Instant now, bool shun = true);
  void compare(Instant now);

  EjectionOptions options_;
  std::vector<Endpoint> all_;
  std::size_t out_ = 0;
  Instant next_return_{INT64_MAX};
  Instant next_compare_{INT64_MIN};
};

}  // namespace evercert::traffic
