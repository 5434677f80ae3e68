// SPDX-License-Identifier: Apache-2.0
// How suspicious it is that a peer has been silent for so long, learned from when its messages came before
// (Hayashibara, Defago, Yared, Katayama: "The phi accrual failure detector", SRDS 2004). Phi is the negative decimal
// logarithm of the chance that the next message comes later still: 1 is wrong once in 10 times, 8 once in 10^8. Pure;
// one thread.
#pragma once

#include <cstddef>
#include <deque>

#include "base/time.h"

namespace evercert::health {

struct PhiOptions {
  Duration expected = 200ms;     // between two messages, until enough have come to know better
  Duration least_spread = 50ms;  // a very regular sender is not suspected for one late message
  Duration pause = 0ms;          // a silence of so much more is nothing: a collection, a busy disk
  std::size_t window = 200;      // so many intervals are remembered
};

class PhiAccrual {
 public:
  explicit PhiAccrual(PhiOptions options = {}) : options_(options) {}

  void heard(Instant now);
  // 0 before the first message. At most 300.
  double phi(Instant now) const;

 private:
  double mean_us() const;
  double spread_us() const;

  PhiOptions options_;
  std::deque<double> intervals_;  // microseconds
  double sum_ = 0, squares_ = 0;
  Instant last_;
  bool heard_ = false;
};

}  // namespace evercert::health
