// SPDX-License-Identifier: Apache-2.0
// What a node does at present: requests in flight, how many come a second, how many of them fail, how long answers
// take, and what of its processors that costs. Counted in slots of a second; told of the last ten whole ones. Any
// thread; an answer costs two atomic additions. When a slot begins anew, counts of that very moment may be lost: a
// handful of a second's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/time.h"

namespace evercert::recovery {

class Meter {
 public:
  static constexpr int kWindow = 10;  // seconds

  void begun() { in_flight_.fetch_add(1, std::memory_order_relaxed); }
  void ended(int status, Duration took, Instant now);
  // `used`: the process's processor time until now. To be told every second or so.
  void processor(Duration used, Instant now);

  struct Load {
    std::uint64_t in_flight = 0;
    double rate = 0;    // a second
    double errors = 0;  // share that were answered 500 or more
    Duration p99{0};    // the end of the class of times that it lies in: at most a fifth more than it is
    double busy = 0;    // processors
  };
  Load load(Instant now) const;

 private:
  static constexpr int kSlots = 16, kClasses = 72;
  struct Slot {
    std::atomic<std::int64_t> second{-1};
    std::atomic<std::uint32_t> errors{0};
    std::array<std::atomic<std::uint32_t>, kClasses> classes{};
  };
  struct Reading {
    Instant at;
    Duration used;
  };
  static int class_of(Duration took);
  static Duration end_of(int time_class);

  std::atomic<std::uint64_t> in_flight_{0};
  std::array<Slot, kSlots> slots_;
  mutable std::mutex mutex_;
  std::array<Reading, kWindow + 1> readings_{};  // a ring
  std::size_t next_reading_ = 0, count_readings_ = 0;
};

}  // namespace evercert::recovery
