// SPDX-License-Identifier: Apache-2.0
#include "sim/shrink.h"

#include <algorithm>

namespace evercert::sim {
namespace {

class Shrinker {
 public:
  Shrinker(const RunOptions& failing, std::uint64_t most_runs, const std::function<void(const Shrunk&)>& progress)
      : most_runs_(most_runs), progress_(progress) {
    best_.run = failing;
    best_.report = run(failing);
    kind_ = kind_of_violation(best_.report.violation.value_or(""));
  }

  Shrunk shrink() {
    if (!best_.report.violation) return std::move(best_);
    bool smaller = true;
    while (smaller && left()) {
      smaller = false;
      smaller = shorter() || smaller;
      smaller = fewer_faults() || smaller;
      smaller = simpler() || smaller;
    }
    best_.runs = runs_;
    return std::move(best_);
  }

 private:
  bool left() const { return runs_ < most_runs_; }

  bool fails(RunOptions candidate) {
    if (!left()) return false;
    ++runs_;
    RunReport report = run(candidate);
    if (!report.violation || kind_of_violation(*report.violation) != kind_) return false;
    best_ = {std::move(candidate), std::move(report), runs_};
    if (progress_) progress_(best_);
    return true;
  }

  // Runs begin at one second.
  Duration failed_at() const { return Duration{static_cast<std::int64_t>(best_.report.simulated_seconds * 1e6)} - 1s; }

  bool shorter() {
    bool any = false;
    for (const double share : {0.0, 0.5, 0.75, 0.9}) {
      RunOptions candidate = best_.run;
      const Duration end = std::min(candidate.duration, failed_at() + 100ms);
      candidate.duration =
          share == 0.0 ? end : Duration{static_cast<std::int64_t>(static_cast<double>(end.count()) * share)};
      candidate.duration = std::chrono::duration_cast<std::chrono::milliseconds>(candidate.duration);
      if (candidate.duration >= best_.run.duration) continue;
      std::erase_if(candidate.faults, [&](const PlannedFault& fault) { return fault.at > candidate.duration; });
      if (fails(std::move(candidate))) {
        any = true;
        break;
      }
    }
    return any;
  }

  // Zeller and Hildebrandt's ddmin, by complements: halves first, then smaller and smaller parts are left out.
  bool fewer_faults() {
    bool any = false;
    for (std::size_t part = (best_.run.faults.size() + 1) / 2; part > 0 && left();) {
      bool removed = false;
      for (std::size_t from = 0; from < best_.run.faults.size() && left();) {
        RunOptions candidate = best_.run;
        const auto begin = candidate.faults.begin() + static_cast<std::ptrdiff_t>(from);
        const auto end = begin + static_cast<std::ptrdiff_t>(std::min(part, candidate.faults.size() - from));
        candidate.faults.erase(begin, end);
        if (fails(std::move(candidate))) {
          removed = any = true;
        } else {
          from += part;
        }
      }
      if (!removed || part > best_.run.faults.size()) part /= 2;
    }
    return any;
  }

  bool simpler() {
    bool any = false;
    const auto attempt = [&](auto&& change) {
      RunOptions candidate = best_.run;
      if (change(candidate) && fails(std::move(candidate))) any = true;
    };
    const auto set = [](auto& field, auto value) { return std::exchange(field, value) != value; };
    attempt([&](RunOptions& r) { return set(r.workload.clients, 1u); });
    attempt([&](RunOptions& r) { return set(r.world.loss, 0.0); });
    attempt([&](RunOptions& r) { return set(r.world.late, 0.0); });
    attempt([&](RunOptions& r) { return set(r.world.split, 0.0); });
    attempt([&](RunOptions& r) { return set(r.world.jitter, 0.0); });
    attempt([&](RunOptions& r) { return set(r.world.drift, 0.0); });
    attempt([&](RunOptions& r) { return set(r.workload.others, 0.0); });
    attempt([&](RunOptions& r) { return set(r.workload.abroad, 0.0); });
    return any;
  }

  std::uint64_t most_runs_;
  const std::function<void(const Shrunk&)>& progress_;
  Shrunk best_;
  std::string kind_;
  std::uint64_t runs_ = 0;
};

}  // namespace

std::string kind_of_violation(const std::string& violation) {
  const auto begin = violation.find(' ');  // after "t=1234ms"
  if (begin == std::string::npos) return violation;
  const auto end = violation.find(':', begin);
  return violation.substr(begin + 1, end == std::string::npos ? std::string::npos : end - begin - 1);
}

Shrunk shrink(const RunOptions& failing, std::uint64_t most_runs, const std::function<void(const Shrunk&)>& progress) {
  return Shrinker(failing, most_runs, progress).shrink();
}

}  // namespace evercert::sim
