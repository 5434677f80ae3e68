// SPDX-License-Identifier: Apache-2.0
// Tells work that waits that nobody waits for it any more; and the signal that such work waits for.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "base/task.h"

namespace evercert::api {

// Any thread. Waits end at once when a notification came since the last one.
class Signal {
 public:
  void notify() {
    std::unique_lock lock(mutex_);
    if (!waiting_) {
      notified_ = true;
      return;
    }
    auto resolve = std::exchange(waiting_, nullptr);
    lock.unlock();
    resolve(true);
  }
  // One at a time.
  Task<bool> wait(Executor& on) {
    auto start = [this](auto resolve) {
      std::unique_lock lock(mutex_);
      if (!std::exchange(notified_, false)) {
        waiting_ = std::move(resolve);
        return;
      }
      lock.unlock();
      resolve(true);
    };
    auto waited = suspend_on<bool>(on, std::move(start));
    co_return co_await waited;
  }

 private:
  std::mutex mutex_;
  bool notified_ = false;
  std::move_only_function<void(bool)> waiting_;
};

// On one thread.
class Cancellation {
 public:
  void cancel() {
    cancelled_ = true;
    if (signal_) signal_->notify();
  }
  bool cancelled() const { return cancelled_; }
  // Notified when it is cancelled; null: nothing any more.
  void tell(std::shared_ptr<Signal> signal) { signal_ = std::move(signal); }

 private:
  bool cancelled_ = false;
  std::shared_ptr<Signal> signal_;
};

}  // namespace evercert::api
