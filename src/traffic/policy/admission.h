// SPDX-License-Identifier: Apache-2.0
// The door: whom to let in when not all can be served. Each class of criticality (criticality.h) may fill the adaptive
// limit up to its share; so the lower ones stop first, and what is left of the limit is free for those above. A queue
// that stands before our own work (queue_delay.h) lowers the shares step by step. The protected classes know no share:
// they are refused only at the hard bound, beyond which answers would come too late for anybody.
// Source: the criticalities of Google's SRE book, WeChat's DAGOR (Zhou and others, SoCC 2018), CoDel. Pure; one thread,
// or a mutex of the caller; O(1), allocates nothing.
#pragma once

#include <algorithm>
#include <array>

#include "traffic/policy/criticality.h"
#include "traffic/policy/queue_delay.h"

namespace evercert::traffic {

struct AdmissionOptions {
  // Of the limit, by Criticality. Those of the protected classes have no meaning.
  std::array<double, kCriticalities> share{1, 1, 1, 1, 1.2, 0.75, 0.4, 0.3};
  // The hard bound: so many times the limit, but at least and at most so many.
  double hard_factor = 4;
  double hard_least = 500, hard_most = 20'000;
  Duration queue_target = 5ms, queue_interval = 100ms;
  double pressure_up = 0.1, pressure_down = 0.05;  // in an interval with and without a standing queue
};

class Admission {
 public:
  explicit Admission(AdmissionOptions options = {})
      : options_(options), queue_(options.queue_target, options.queue_interval) {}

  // May one more begin? `in_flight`, `limit`: of the endpoints that are well (Upstream), or of the process itself.
  bool admits(Criticality of, double in_flight, double limit) const {
    if (in_flight >= hard_bound(limit)) return false;
    if (is_protected(of)) return true;
    return in_flight < limit * options_.share[static_cast<std::size_t>(of)] * (1 - pressure_);
  }
  double hard_bound(double limit) const {
    return std::min(options_.hard_most, std::max(options_.hard_least, limit * options_.hard_factor));
  }

  // How long a request waited for its turn in this process.
  void waited(Duration time, Instant now) {
    if (!queue_.observe(time, now)) return;
    pressure_ =
        std::clamp(pressure_ + (queue_.overloaded() ? options_.pressure_up : -options_.pressure_down), 0.0, 1.0);
  }
  // 0: none; 1: only the protected classes are let in.
  double pressure() const { return pressure_; }

  // When one who was refused should come again: the less it is worth, the later.
  static Duration retry_after(Criticality of) {
    switch (of) {
      case Criticality::kOperator:
      case Criticality::kRevocation:
      case Criticality::kOcsp:
      case Criticality::kCrl: return 1s;
      case Criticality::kRenewal: return 5s;
      case Criticality::kIssuance: return 15s;
      case Criticality::kListing: return 30s;
      case Criticality::kFutile: return 300s;
    }
    return 30s;
  }

 private:
  AdmissionOptions options_;
  QueueDelay queue_;
  double pressure_ = 0;
};

}  // namespace evercert::traffic
