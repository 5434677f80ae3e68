// SPDX-License-Identifier: Apache-2.0
// How many signatures a token makes a second, and the most that it has shown it can. A token works on its own
// processor: it may be used up while all others are idle. What it can is known from what it does: a signature that had
// the token to itself takes what one takes, and so many a second are made one after the other; a token that does
// several at once has shown more when more have been made. Thread-safe; two readings of the clock for each signature.
#pragma once

#include <array>
#include <memory>
#include <mutex>

#include "base/env.h"
#include "pki/signer.h"

namespace evercert::keys {

class SignMeter {
 public:
  static constexpr int kWindow = 10;  // seconds

  explicit SignMeter(MonotonicClock& clock) : clock_(clock) {}

  struct Turn {
    Instant begun;
    bool alone = false;  // when it began
  };
  Turn began();
  // Those that failed made no signature, and say nothing of how long one takes.
  void ended(const Turn& turn, bool made);

  struct Load {
    double rate = 0;  // a second, over the last whole ones
    double most = 0;  // 0: none has been made yet
  };
  Load load() const;

 private:
  struct Slot {
    std::int64_t second = -1;
    int made = 0;
  };
  MonotonicClock& clock_;
  mutable std::mutex mutex_;
  int in_flight_ = 0;
  std::array<Slot, kWindow + 2> slots_;
  double alone_seconds_ = 0;  // of one that had the token to itself: moving mean; 0: none yet
  double best_ = 0;           // most in one second, ever
};

// Signs by `signer`, and is counted. `meter` outlives it.
std::shared_ptr<pki::Signer> metered(std::shared_ptr<pki::Signer> signer, SignMeter& meter);

}  // namespace evercert::keys
