// SPDX-License-Identifier: Apache-2.0
#include "recovery/capacity/scaler.h"

#include <algorithm>

namespace evercert::recovery {

Result<int> Scaler::want(int workers, std::int64_t token, Instant now) {
  if (token < token_)
    return fail(Code::kConflict, "a controller with token " + std::to_string(token_) + " has spoken since");
  token_ = token;
  const int most = static_cast<int>(driver_.list().size());
  workers = std::clamp(workers, 0, most);
  if (workers > wanted_ && cooling(now))
    return fail(Code::kUnavailable,
                "workers were let go less than " + std::to_string(options_.cool_down / 1s) + " s ago");
  if (workers < wanted_) let_go_ = now;
  wanted_ = workers;
  return wanted_;
}

Result<int> Scaler::affirm(std::int64_t token) {
  if (token_ == 0) return fail(Code::kNotFound, "no controller has wanted any workers");
  if (token < token_)
    return fail(Code::kConflict, "a controller with token " + std::to_string(token_) + " has spoken since");
  token_ = token;
  return wanted_;
}

std::vector<std::string> Scaler::review(Instant now) {
  std::vector<std::string> trouble;
  const auto workers = driver_.list();
  known_ = static_cast<int>(workers.size());
  running_ = static_cast<int>(std::ranges::count_if(workers, &Worker::running));
  int place = 0;
  for (const Worker& worker : workers) {
    const bool wanted = place++ < wanted_;
    Attempts& attempts = attempts_[worker.name];
    if (!wanted) {
      if (worker.running) {
        if (const Status stopped = driver_.stop(worker.name); !stopped)
          trouble.push_back(worker.name + ": " + stopped.error().message);
      }
      attempts = {};
      continue;
    }
    if (worker.running) {
      if (attempts.begun && now - *attempts.begun >= options_.steady) attempts.failed = 0;
      continue;
    }
    if (attempts.begun) {  // it was started, and has ended by itself
      attempts.begun.reset();
      const Duration retry = std::min<Duration>(options_.longest_retry, 1s * (1 << std::min(attempts.failed, 16)));
      ++attempts.failed;
      attempts.next = now + retry;
      trouble.push_back(worker.name + " has ended by itself; it is started again in " + std::to_string(retry / 1s) +
                        " s");
    }
    if (attempts.next && now < *attempts.next) continue;
    const Status started = driver_.start(worker.name);
    attempts.begun = now;  // a start that fails is tried again as late as one that ends at once
    if (!started) trouble.push_back(worker.name + ": " + started.error().message);
  }
  return trouble;
}

}  // namespace evercert::recovery
