// SPDX-License-Identifier: Apache-2.0
// Replication lag of one group as this replica sees it: a sliding window of samples. Pure.
#pragma once

#include <deque>

#include "base/time.h"

namespace evercert::store {

class LagMeter {
 public:
  explicit LagMeter(Duration window = 5s) : window_(window) {}
  void sample(std::int64_t lag_ms, Instant now);
  // The p-th quantile (0..1) of the window, 0 when it is empty.
  std::int64_t quantile(double p, Instant now) const;

 private:
  struct Sample {
    Instant at;
    std::int64_t lag_ms;
  };
  Duration window_;
  std::deque<Sample> samples_;
};

}  // namespace evercert::store
