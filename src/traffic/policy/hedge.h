// SPDX-License-Identifier: Apache-2.0
// A second copy of a call that takes longer than most, sent elsewhere; the first answer counts. And speculation: both
// at once, when the endpoint of the first is in doubt. Only for what may run twice at the same time, and only within a
// budget: a small share of the calls, none while there is pressure. Source: Dean and Barroso, "The tail at scale"
// (2013). Pure; one thread, or a mutex of the caller; O(1) but for one look at the window in 500 ms.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "traffic/policy/latency_window.h"
#include "traffic/policy/retry.h"

namespace evercert::traffic {

// Twice at the same time is more than twice one after the other (may_retry): an ACME request carries a nonce, so its
// second copy would be refused as a replay, perhaps before the first is answered; of two issuances one would find the
// other's key in use. Reads only.
inline bool may_hedge(std::string_view method, std::string_view path) {
  if (method == "GET" || method == "HEAD") return !path.starts_with("/v1/watch/") && !path.starts_with("/acme/");
  return method == "POST" && (path == "/ocsp" || path.starts_with("/ocsp/"));
}

struct HedgeOptions {
  double quantile = 0.95;
  std::uint64_t least_calls = 100;  // in the window; with fewer nobody knows what "long" is
  Duration least_delay = 1ms, most_delay = 2s;
  double share = 0.05;          // of the calls
  double floor_per_second = 1;  // so that a quiet edge may hedge too
  double pressure = 0.7;        // no copies from this utilisation on: they would take places that others wait for
};

// The delay of one kind of call. Each kind has its own: an OCSP answer after 20 ms is late, an issuance is not.
class HedgeDelay {
 public:
  explicit HedgeDelay(HedgeOptions options = {})
      : options_(options), quantile_(options.quantile, options.least_calls) {}
  // How long to wait before the copy. Nothing: do not send one.
  std::optional<Duration> get(LatencyWindow& window, Instant now) {
    const auto value = quantile_.get(window, now);
    if (!value || *value > options_.most_delay) return std::nullopt;
    return std::max(*value, options_.least_delay);
  }

 private:
  HedgeOptions options_;
  CachedQuantile quantile_;
};

// What all hedges and speculations of an edge share.
class HedgeBudget {
 public:
  explicit HedgeBudget(HedgeOptions options = {})
      : options_(options), tokens_(options.share, options.floor_per_second) {}
  void request() { tokens_.request(); }
  // `utilisation`: what is in flight, of what may be.
  bool take(double utilisation, Instant now) { return utilisation < options_.pressure && tokens_.take(now); }

 private:
  HedgeOptions options_;
  RetryBudget tokens_;
};

}  // namespace evercert::traffic
