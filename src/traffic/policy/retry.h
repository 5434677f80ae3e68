// SPDX-License-Identifier: Apache-2.0
// What may be sent again, and how much of it. Pure.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace evercert::traffic {

// Repetitions are limited to a share of the requests, so that they cannot finish off what is already struggling. A
// floor per second lets a quiet edge repeat too.
class RetryBudget {
 public:
  explicit RetryBudget(double share = 0.2, double floor_per_second = 10)
      : share_(share), floor_(floor_per_second), tokens_(floor_per_second) {}
  void request() { tokens_ = std::min(tokens_ + share_, kMost); }
  bool take(Instant now) {
    const double seconds = static_cast<double>((now - last_).count()) / 1e6;
    if (last_.us != 0) tokens_ = std::min(tokens_ + seconds * floor_, kMost);
    last_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  static constexpr double kMost = 1000;
  double share_, floor_, tokens_;
  Instant last_;
};

// After a failure with this code, may the request go to another endpoint? kUnavailable: it surely was not carried out.
// Otherwise only what is safe to carry out twice: reads; OCSP by POST is a read; requests with an idempotency key; ACME
// requests, which name the resource that they change and are checked against its state (RFC 8555 section 7.1.6).
inline bool may_retry(Code failure, std::string_view method, std::string_view path, bool has_key) {
  if (failure == Code::kUnavailable) return true;
  if (failure != Code::kUnknownOutcome) return false;
  if (method == "GET" || method == "HEAD" || method == "OPTIONS") return true;
  return has_key || path.starts_with("/ocsp") || path.starts_with("/acme/");
}

}  // namespace evercert::traffic
