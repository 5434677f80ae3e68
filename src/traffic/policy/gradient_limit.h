// SPDX-License-Identifier: Apache-2.0
// How many calls may be in flight at a group of equal endpoints, found from their answer times: when these rise above
// what they are without a queue, the limit falls in proportion, else it grows by a little. Source: the gradient limits
// of Netflix's concurrency-limits and Envoy's adaptive concurrency.
//
// Different from both:
// - Calls of several kinds are compared each with its own baseline: a change of the mix is not taken for a queue.
// - A rise counts when it is more than chance (two standard errors, two windows in a row), so windows can be short. A
//   single answer counts up to `clip` baselines: one slow endpoint among many is no queue at all of them.
// - A rise that is small as such (`slack`) counts for nothing: that 2 ms became 6 ms hurts nobody.
// - What is at work is the rate of answers times the baseline (Little's law), whatever the limit was; with evidence of
//   a queue the limit falls to a multiple of that at once. It grows while the answers show none, quickly if there has
//   been none for long: a burst on servers that can take it is hardly noticed.
// - When a quarter of the endpoints or more has gone, the others shall do their work as well, and what the limit allows
//   them was never tried: it falls to `after_loss` before the queue is there, and grows again if there comes none.
// - A queue where as much was at work before without one is doubted: the limit is lowered a little more for a moment,
//   and the baseline measured anew. If the answers stay slow, they are so for a reason of their own (a farther quorum,
//   since a region is gone), and the limit goes back to what it was. The same measurement is made when the baseline is
//   old (as BBR does with its least round trip), in passing when nothing is pressed.
//
// Pure; one thread, or a mutex of the caller. O(kinds) at the end of a measuring window, else O(1); allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace evercert::traffic {

struct GradientOptions {
  double initial = 16, least = 2, most = 1000;  // for each endpoint
  double after_loss = 8;                        // and no more when others have gone, until it has been tried
  double tolerance = 1.2;                       // so many times their baseline answers may take,
  Duration slack = 10ms;                        // and so much longer in any case: less than p99 may rise by
  double clip = 3;
  double headroom = 1.6;       // the limit falls to so many times what is at work, and no further
  double growth = 0.02;        // of the limit, in a window whose answers rose by half of that or less
  double quick_growth = 0.25;  // the same, when no queue was seen for `calm`
  Duration calm = 60s;
  std::uint32_t least_answers = 100;  // in a window; less than half will do when the queue is plain to see
  Duration least_window = 20ms;
  Duration baseline_for = 60s;   // then it is measured anew
  double while_measuring = 0.5;  // of the limit: all that may be let in then, renewals too, shall find no queue
};

class GradientLimit {
 public:
  static constexpr std::size_t kKinds = 8;

  // `salt`: random, so that not all callers measure anew at once.
  explicit GradientLimit(GradientOptions options = {}, std::uint64_t salt = 0);

  // So many endpoints are well now: the limit is in proportion. 0: keeps what is known until there are some again.
  void resize(std::size_t endpoints);

  void started() {
    if (++in_flight_ > peak_) peak_ = in_flight_;
  }
  // An answer of this kind (below kKinds).
  void answered(std::size_t kind, Duration took, Instant now);
  // No answer that says how fast they are: given up, broken off.
  void left();
  // One says itself that it is too busy: the limit falls a little, at most ten times a second, and not when so little
  // is in flight that the limit cannot be what was too high.
  void refused(Instant now);

  // How many may be in flight now, at all and at each. 0 when no endpoint is well.
  double limit() const { return each() * static_cast<double>(endpoints_); }
  double each() const;
  int in_flight() const { return in_flight_; }
  bool measuring() const { return measuring_; }
  double baseline_us(std::size_t kind) const { return kinds_.at(kind).baseline; }  // 0: not known yet

 private:
  struct Kind {
    double sum = 0, squares = 0;  // of this window, microseconds
    std::uint32_t answers = 0;
    double long_sum = 0;  // of several windows, for the baseline
    std::uint32_t long_answers = 0;
    double baseline = 0;
    Instant measured;
  };
  struct Rise {
    double mean = 1, error = 0;  // in baselines
    double excess_us = 0, work_us = 0;
    bool known = false;
    bool plain = false;  // so long that few answers tell it
  };
  void open_window(Instant now);
  void close_window(Instant now);
  Rise rise() const;
  bool adjust(const Rise& rose, bool pressed, Instant now);
  void learn(bool pressed, Instant now);
  void begin_measuring(Instant now);
  void end_measuring(Instant now);

  GradientOptions options_;
  Duration baseline_for_;
  std::size_t endpoints_ = 1, all_ = 1;  // now, and the most that there were
  double each_;                          // the limit of one endpoint
  double before_;                        // what it was before it fell
  double proven_ = 0;                    // the most that was at work at one endpoint without a queue; fades
  int in_flight_ = 0, peak_ = 0;
  std::array<Kind, kKinds> kinds_{};
  std::uint32_t answers_ = 0;
  Instant window_began_;
  bool window_open_ = false;
  Instant refused_;
  bool suspected_ = false, queued_ = false;  // in the last window
  bool measuring_ = false;
  Instant measuring_since_, measured_, saw_queue_;
  bool ever_queued_ = false;
  Duration doubt_after_;
};

}  // namespace evercert::traffic
