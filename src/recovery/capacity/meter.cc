// SPDX-License-Identifier: Apache-2.0
#include "recovery/capacity/meter.h"

#include <algorithm>
#include <cmath>

namespace evercert::recovery {
namespace {

constexpr double kFirst = 100;    // microseconds: the end of the first class
constexpr double kPerOctave = 4;  // each class ends a fifth (2^1/4) beyond the one before

}  // namespace

int Meter::class_of(Duration took) {
  const double us = static_cast<double>(took.count());
  if (us <= kFirst) return 0;
  return std::min(kClasses - 1, static_cast<int>(std::ceil(std::log2(us / kFirst) * kPerOctave)));
}

Duration Meter::end_of(int time_class) {
  return Duration(static_cast<std::int64_t>(kFirst * std::exp2(time_class / kPerOctave)));
}

void Meter::ended(int status, Duration took, Instant now) {
  in_flight_.fetch_sub(1, std::memory_order_relaxed);
  const std::int64_t second = now.us / 1'000'000;
  Slot& slot = slots_[static_cast<std::size_t>(second % kSlots)];
  std::int64_t was = slot.second.load(std::memory_order_acquire);
  if (was < second && slot.second.compare_exchange_strong(was, second, std::memory_order_acq_rel)) {
    slot.errors.store(0, std::memory_order_relaxed);
    for (auto& count : slot.classes) count.store(0, std::memory_order_relaxed);
  }
  slot.classes[static_cast<std::size_t>(class_of(took))].fetch_add(1, std::memory_order_relaxed);
  if (status >= 500) slot.errors.fetch_add(1, std::memory_order_relaxed);
}

void Meter::processor(Duration used, Instant now) {
  std::lock_guard lock(mutex_);
  readings_[next_reading_] = {now, used};
  next_reading_ = (next_reading_ + 1) % readings_.size();
  count_readings_ = std::min(count_readings_ + 1, readings_.size());
}

Meter::Load Meter::load(Instant now) const {
  const std::int64_t second = now.us / 1'000'000;
  std::array<std::uint64_t, kClasses> classes{};
  std::uint64_t all = 0, errors = 0;
  for (const Slot& slot : slots_) {
    const std::int64_t of = slot.second.load(std::memory_order_acquire);
    if (of >= second || of < second - kWindow) continue;
    errors += slot.errors.load(std::memory_order_relaxed);
    for (std::size_t c = 0; c < classes.size(); ++c) {
      const auto count = slot.classes[c].load(std::memory_order_relaxed);
      classes[c] += count;
      all += count;
    }
  }
  Load load;
  load.in_flight = in_flight_.load(std::memory_order_relaxed);
  load.rate = static_cast<double>(all) / kWindow;
  if (all > 0) load.errors = std::min(1.0, static_cast<double>(errors) / static_cast<double>(all));
  std::uint64_t beyond = all / 100;  // slower than the 99th percentile
  for (int c = kClasses - 1; c >= 0 && all > 0; --c) {
    if (classes[static_cast<std::size_t>(c)] > beyond) {
      load.p99 = end_of(c);
      break;
    }
    beyond -= classes[static_cast<std::size_t>(c)];
  }
  std::lock_guard lock(mutex_);
  if (count_readings_ >= 2) {
    const std::size_t last = (next_reading_ + readings_.size() - 1) % readings_.size();
    const std::size_t first = (next_reading_ + readings_.size() - count_readings_) % readings_.size();
    const Duration span = readings_[last].at - readings_[first].at;
    if (span > 0us)
      load.busy = static_cast<double>((readings_[last].used - readings_[first].used).count()) /
                  static_cast<double>(span.count());
  }
  return load;
}

}  // namespace evercert::recovery
