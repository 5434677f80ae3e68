// SPDX-License-Identifier: Apache-2.0
// When a certificate is to be renewed, and when to try again after a failure. Pure: wall time and chance come in. One
// thread.
//
// Without word of the server: at a moment between two thirds and three quarters of its life, each certificate at
// another one. With a window of the server's (RFC 9773): at a moment within it. What fails is tried again after 5 s,
// then twice as long each time, an hour at most; the nearer the end, the more often.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/time.h"

namespace evercert::traffic {

struct Validity {
  WallTime not_before, not_after;
};

class Renewal {
 public:
  enum class Alarm {
    kNone,
    kNearEnd,  // an eighth of its life is left, or less
    kExpired,
  };

  // `chance`: anything in [0, 1).
  void installed(const Validity& validity, double chance);
  // The server's window for the certificate that is installed. The same one again changes nothing.
  void suggested(WallTime start, WallTime end, double chance);
  // The certificate is not what it should be: due now, but for the pause after a failure, whatever the server suggests.
  void wanted(WallTime now) {
    due_ = std::min(due_, now);
    wanted_ = true;
  }
  // An operator wants it: now, whatever was before.
  void forced() {
    due_ = not_before_ = {};
    wanted_ = true;
  }
  void failed(WallTime now, double chance);

  bool due(WallTime now) const { return now >= next(); }
  // Until one is installed: the beginning of time, or when to try again.
  WallTime next() const { return std::max(due_, not_before_); }
  int failures() const { return failures_; }
  Alarm alarm(WallTime now) const;

 private:
  std::int64_t life_ms() const { return validity_->not_after.ms - validity_->not_before.ms; }

  std::optional<Validity> validity_;
  std::optional<std::pair<WallTime, WallTime>> window_;
  WallTime due_;         // by the certificate's age
  bool wanted_ = false;  // sooner than that, until one is installed
  WallTime not_before_;  // by failures
  int failures_ = 0;     // since the last success
};

}  // namespace evercert::traffic
