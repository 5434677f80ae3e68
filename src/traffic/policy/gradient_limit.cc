// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/gradient_limit.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "traffic/policy/subset.h"

namespace evercert::traffic {
namespace {

constexpr double kStandardErrors = 2;
constexpr std::uint32_t kAnswersForBaseline = 200, kLeastMeasured = 30;
// A baseline that is above the latest mean goes this far towards it: the least of many means would be far below the
// truth, by chance alone.
constexpr double kTowardsLess = 0.3;
constexpr double kDoubted = 1.1;      // times what was at work without a queue: with more it surely is one
constexpr double kFades = 0.998;      // in a window
constexpr double kNewBaseline = 1.5;  // measured anew, it is that much longer: so there was a reason
constexpr Duration kBetweenRefusals = 100ms, kFirstDoubt = 5s, kLongestMeasuring = 10s;

}  // namespace

GradientLimit::GradientLimit(GradientOptions options, std::uint64_t salt)
    : options_(options),
      each_(std::clamp(options.initial, options.least, options.most)),
      before_(each_),
      doubt_after_(kFirstDoubt) {
  const auto half = static_cast<std::uint64_t>(std::max<std::int64_t>(options.baseline_for.count() / 2, 1));
  baseline_for_ = options.baseline_for + Duration{static_cast<std::int64_t>(mix(salt) % half)};
}

void GradientLimit::resize(std::size_t endpoints) {
  if (endpoints == endpoints_) return;
  all_ = std::max(all_, endpoints);
  if (endpoints > 0 && endpoints < endpoints_ && endpoints * 4 <= all_ * 3) {
    const double tried = static_cast<double>(peak_) / static_cast<double>(endpoints_);
    each_ = std::min(each_, std::max({options_.after_loss, options_.least, tried}));
  }
  endpoints_ = endpoints;
}

double GradientLimit::each() const {
  return measuring_ ? std::max(options_.least, each_ * options_.while_measuring) : each_;
}

void GradientLimit::left() {
  EC_CHECK(in_flight_ > 0, "more calls ended than had begun");
  --in_flight_;
}

void GradientLimit::open_window(Instant now) {
  window_open_ = true;
  window_began_ = now;
  answers_ = 0;
  peak_ = in_flight_;
}

void GradientLimit::refused(Instant now) {
  if (now - refused_ < kBetweenRefusals || 2.0 * in_flight_ < limit()) return;
  refused_ = now;
  each_ = std::max(options_.least, each_ * 0.9);
}

void GradientLimit::answered(std::size_t kind, Duration took, Instant now) {
  left();
  if (!window_open_) open_window(now);
  // What had begun before the limit fell had waited in the old queue.
  if (measuring_ && now - took < measuring_since_) return;
  Kind& of = kinds_.at(kind);
  double us = static_cast<double>(std::max<Duration>(took, 1us).count());
  if (!measuring_ && of.baseline > 0) {
    const double slack_us = static_cast<double>(options_.slack.count());
    us = std::min(us, of.baseline + std::max((options_.clip - 1) * of.baseline, 3 * slack_us));
  }
  of.sum += us;
  of.squares += us * us;
  ++of.answers;
  ++answers_;
  const bool whole = answers_ >= options_.least_answers && now - window_began_ >= options_.least_window;
  const bool worth_a_look = !measuring_ && answers_ >= options_.least_answers * 2 / 5 && answers_ % 8 == 0;
  if (whole || (worth_a_look && rise().plain)) close_window(now);
}

// How much longer than their baselines the answers of this window took, each kind by itself.
GradientLimit::Rise GradientLimit::rise() const {
  double sum = 0, variance = 0, known = 0, excess = 0, work = 0;
  for (const Kind& of : kinds_) {
    if (of.answers == 0 || of.baseline == 0) continue;
    const double n = of.answers, mean = of.sum / n;
    sum += n * mean / of.baseline;
    excess += n * (mean - of.baseline);
    work += n * of.baseline;
    variance += std::max(0.0, of.squares - of.sum * mean) / (of.baseline * of.baseline);
    known += n;
  }
  if (known < 2) return {};
  const double mean = sum / known, error = std::sqrt(variance) / known;
  const bool plain = mean - 3 * error > 1 + 2 * (options_.tolerance - 1) &&
                     excess / known > 2 * static_cast<double>(options_.slack.count());
  return {mean, error, excess / known, work, true, plain};
}

void GradientLimit::close_window(Instant now) {
  const bool pressed = peak_ >= limit() / 2;
  const bool doubted = !measuring_ && adjust(rise(), pressed, now) && now - measured_ >= doubt_after_;
  learn(pressed, now);
  if (doubted && !measuring_) begin_measuring(now);
  for (Kind& of : kinds_) {
    of.sum = of.squares = 0;
    of.answers = 0;
  }
  open_window(now);
}

// true: there is a queue, or so it looks, but as much was at work before without one.
bool GradientLimit::adjust(const Rise& rose, bool pressed, Instant now) {
  if (endpoints_ == 0 || !rose.known) return false;
  const double window_us = static_cast<double>(std::max<Duration>(now - window_began_, 1us).count());
  const double at_work = rose.work_us / window_us / static_cast<double>(endpoints_);
  const double slack_us = static_cast<double>(options_.slack.count());
  proven_ *= kFades;
  if (rose.mean - kStandardErrors * rose.error > options_.tolerance && rose.excess_us > slack_us) {
    // One window may be chance, two in a row are not; nor is one that is plain.
    if (!queued_ && !suspected_ && !rose.plain) {
      suspected_ = true;
      return false;
    }
    if (!queued_) before_ = each_;
    queued_ = ever_queued_ = true;
    saw_queue_ = now;
    each_ = std::max(options_.least, std::min(each_, std::max(at_work, proven_) * options_.headroom));
    return at_work <= kDoubted * proven_;
  }
  queued_ = suspected_ = false;
  if (rose.mean > 1 + (options_.tolerance - 1) / 2 && rose.excess_us > slack_us / 2) return false;
  proven_ = std::max(proven_, at_work);
  if (!pressed) return false;
  const bool calm = !ever_queued_ || now - saw_queue_ >= options_.calm;
  each_ = std::min(options_.most, each_ * (1 + (calm ? options_.quick_growth : options_.growth)));
  return false;
}

void GradientLimit::learn(bool pressed, Instant now) {
  std::uint32_t measured = 0;
  bool due = false;
  for (Kind& of : kinds_) {
    of.long_sum += of.sum;
    of.long_answers += of.answers;
    measured += of.long_answers;
    if (measuring_ || of.long_answers < kAnswersForBaseline) continue;
    const double mean = of.long_sum / of.long_answers;
    of.long_sum = 0;
    of.long_answers = 0;
    if (of.baseline == 0) {
      of.baseline = mean;
      of.measured = now;
    } else if (mean <= of.baseline) {
      of.baseline += kTowardsLess * (mean - of.baseline);
      of.measured = now;
    } else if (now - of.measured >= baseline_for_) {
      if (pressed) {
        due = true;
      } else {
        of.baseline = mean;
        of.measured = now;
      }
    }
  }
  if (measuring_) {
    if (measured >= kAnswersForBaseline || now - measuring_since_ >= kLongestMeasuring) end_measuring(now);
  } else if (due) {
    begin_measuring(now);
  }
}

void GradientLimit::begin_measuring(Instant now) {
  measuring_ = true;
  // First what waits has to go: after three times what an answer takes now.
  double sum = 0, answers = 0;
  for (const Kind& of : kinds_) {
    sum += of.sum;
    answers += of.answers;
  }
  const double settles_us = answers > 0 ? std::min(3 * sum / answers, 2e6) : 0;
  measuring_since_ = now + Duration{static_cast<std::int64_t>(settles_us)};
  for (Kind& of : kinds_) {
    of.long_sum = 0;
    of.long_answers = 0;
  }
}

void GradientLimit::end_measuring(Instant now) {
  double rose = 0, answers = 0;
  for (const Kind& of : kinds_) {
    if (of.baseline == 0 || of.long_answers == 0) continue;
    rose += of.long_sum / of.baseline;
    answers += of.long_answers;
  }
  const double rise = answers > 0 ? rose / answers : 1;
  for (Kind& of : kinds_) {
    if (of.long_answers >= kLeastMeasured) {
      of.baseline = of.long_sum / of.long_answers;
    } else if (rise >= kNewBaseline) {
      of.baseline *= rise;  // too few of their own: what has slowed the others has slowed the rare ones too
    }
    of.measured = now;
    of.long_sum = 0;
    of.long_answers = 0;
  }
  measuring_ = false;
  measured_ = now;
  if (rise >= kNewBaseline) {
    each_ = std::max(each_, before_);
    proven_ *= rise;
    queued_ = false;
    doubt_after_ = kFirstDoubt;
  } else {
    // It was a queue. The next doubt can wait.
    proven_ = 0;
    doubt_after_ = std::min<Duration>(doubt_after_ * 2, options_.baseline_for);
  }
}

}  // namespace evercert::traffic
