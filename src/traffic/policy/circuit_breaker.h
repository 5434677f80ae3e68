// SPDX-License-Identifier: Apache-2.0
// Stops asking an endpoint whose answers are mostly failures, or mostly too slow, and asks it again by a few probes.
//   closed --(share of failed or slow calls)--> open --(time)--> half-open --(enough good probes)--> closed
//                                                 ^------------(one bad probe)------'
// Opens only on a share of many calls: single failures never do it, however many they are among more good ones. Each
// opening that follows soon on another lasts twice as long. Who is asked while open all the same, since nobody is left,
// and answers well several times in a row is half-open at once. Source: Nygard, "Release It!"; the slow-call rule is
// that of resilience4j. Pure; one thread, or a mutex of the caller; O(1), allocates nothing.
#pragma once

#include <array>
#include <cstdint>

#include "base/time.h"

namespace evercert::traffic {

struct BreakerOptions {
  Duration window = 10s;
  std::uint32_t least_calls = 20;  // in the window; with fewer it never opens
  double failed_share = 0.5;
  double slow_share = 0.8;
  Duration slow_after = 2s;  // far above any round trip between regions: that is no fault of the endpoint
  Duration open_for = 1s, longest_open = 30s;
  int probes_at_once = 3, probes_to_close = 5;
};

enum class BreakerState : std::uint8_t { kClosed, kOpen, kHalfOpen };
enum class CallVerdict : std::uint8_t {
  kGood,
  kFailed,
  kNone,  // says nothing about the endpoint: given up by the caller, or refused because it is busy
};

class CircuitBreaker {
 public:
  // What a call was begun under. A result counts only for the phase in which its call began: what was sent before it
  // opened does not close it, nor open it again.
  using Ticket = std::uint32_t;

  // `salt`: random, so that many callers do not probe in step.
  explicit CircuitBreaker(BreakerOptions options = {}, std::uint64_t salt = 0) : options_(options), salt_(salt) {}

  BreakerState state(Instant now) const;
  // May a call be begun now? In half-open: is there room for one more probe?
  bool admits(Instant now) const;
  // Whoever was told a ticket owes a finished().
  Ticket started(Instant now);
  void finished(Ticket ticket, CallVerdict verdict, Duration took, Instant now);

  std::uint64_t opened() const { return opened_; }  // how often, ever

 private:
  static constexpr std::size_t kSlices = 10;
  struct Counts {
    std::uint32_t calls = 0, failed = 0, slow = 0;
  };
  void advance(Instant now);
  void settle(Instant now);  // open -> half-open, when it is time
  void open(Instant now);
  void close(Instant now);
  void next_phase(BreakerState state);

  BreakerOptions options_;
  std::uint64_t salt_;
  BreakerState state_ = BreakerState::kClosed;
  Ticket phase_ = 1;
  Instant until_;   // of open
  Instant closed_;  // since when; of closed after an opening
  int openings_in_a_row_ = 0;
  std::uint64_t opened_ = 0;
  int probing_ = 0, passed_ = 0;
  std::int64_t at_ = 0;
  Counts all_;
  std::array<Counts, kSlices> slices_{};
};

}  // namespace evercert::traffic
