// SPDX-License-Identifier: Apache-2.0
// Whether to go on reading from sockets. What is not read stays in the kernel, TCP's window closes, and the sender
// slows down: the queue is where it began. Two marks, so that reading is not switched at every request. Source: the
// watermarks of Envoy's buffers. Pure; one thread, or a mutex of the caller; O(1).
#pragma once

#include <cstdint>

#include "base/check.h"

namespace evercert::traffic {

class ReadGate {
 public:
  // Of whatever is counted (bytes held, requests in hand): reading stops at `high` and goes on at `low`, low < high.
  ReadGate(std::uint64_t low, std::uint64_t high) : low_(low), high_(high) {
    EC_CHECK(low < high, "the low mark of a gate lies below its high mark");
  }
  // true: the gate has just closed (stop reading).
  bool took(std::uint64_t amount) {
    held_ += amount;
    if (!open_ || held_ < high_) return false;
    open_ = false;
    return true;
  }
  // true: the gate has just opened (read on).
  bool gave_back(std::uint64_t amount) {
    EC_CHECK(amount <= held_, "more was given back than was taken");
    held_ -= amount;
    if (open_ || held_ > low_) return false;
    open_ = true;
    return true;
  }
  bool open() const { return open_; }
  std::uint64_t held() const { return held_; }

 private:
  std::uint64_t low_, high_, held_ = 0;
  bool open_ = true;
};

}  // namespace evercert::traffic
