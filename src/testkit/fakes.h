// SPDX-License-Identifier: Apache-2.0
// Time and threads as a test decides them.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/env.h"
#include "base/task_scope.h"

namespace evercert::testkit {

class FakeWallClock : public WallClock {
 public:
  explicit FakeWallClock(std::int64_t seconds) : now_{seconds * 1000} {}
  WallTime now() const override { return now_; }
  void advance(std::int64_t seconds) { now_.ms += seconds * 1000; }

 private:
  WallTime now_;
};

class FakeMonotonicClock : public MonotonicClock {
 public:
  Instant now() const override { return now_; }
  void advance(Duration by) { now_ = now_ + by; }

 private:
  Instant now_;
};

// Runs what is posted when the test says so, on the thread of the test.
class ManualExecutor : public Executor {
 public:
  void post(std::move_only_function<void()> work) override { ready_.push_back(std::move(work)); }
  void post_after(Duration delay, std::move_only_function<void()> work) override {
    later_.emplace(now_ + delay, std::move(work));
  }
  void run() {
    while (!ready_.empty()) {
      auto work = std::move(ready_.front());
      ready_.pop_front();
      work();
    }
  }
  // Runs, and lets time pass, until `done` or until nothing is left to wait for within `patience`.
  template <class Done>
  void run_until(const Done& done, Duration patience) {
    const Instant end = now_ + patience;
    for (run(); !done() && !later_.empty() && later_.begin()->first <= end; run()) next_timer();
  }
  // Runs what falls due in the meantime, each at its moment.
  void advance(Duration by) {
    const Instant end = now_ + by;
    for (run(); !later_.empty() && later_.begin()->first <= end; run()) next_timer();
    now_ = end;
  }

 private:
  void next_timer() {
    now_ = later_.begin()->first;
    ready_.push_back(std::move(later_.begin()->second));
    later_.erase(later_.begin());
  }

  std::deque<std::move_only_function<void()>> ready_;
  std::multimap<Instant, std::move_only_function<void()>> later_;
  Instant now_;
};

// The executor of something that can end before the one below it: what it was given then never runs.
class MortalExecutor : public Executor {
 public:
  explicit MortalExecutor(Executor& below) : below_(below) {}
  void post(std::move_only_function<void()> work) override { below_.post(guarded(std::move(work))); }
  void post_after(Duration delay, std::move_only_function<void()> work) override {
    below_.post_after(delay, guarded(std::move(work)));
  }

 private:
  std::move_only_function<void()> guarded(std::move_only_function<void()> work) {
    return [alive = std::weak_ptr<int>(alive_), work = std::move(work)]() mutable {
      if (alive.lock()) work();
    };
  }
  Executor& below_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

// Starts `task` and runs `executor` until it ends. Nothing when it does not within `patience`: then it is destroyed
// where it is.
template <class T>
std::optional<T> try_finish(ManualExecutor& executor, Task<T> task, Duration patience = 60s) {
  auto out = std::make_shared<std::optional<T>>();
  TaskScope scope;
  scope.spawn(std::move(task), [out](T value) { out->emplace(std::move(value)); });
  executor.run_until([&] { return out->has_value(); }, patience);
  return std::move(*out);
}

template <class T>
T finish(ManualExecutor& executor, Task<T> task) {
  auto out = try_finish(executor, std::move(task));
  EC_CHECK(out.has_value(), "the task waits for something that does not come");
  return std::move(*out);
}

}  // namespace evercert::testkit
