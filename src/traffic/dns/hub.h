// SPDX-License-Identifier: Apache-2.0
// Where the checks leave what is true now and the answering threads find it. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "base/time.h"
#include "traffic/dns/view.h"

namespace evercert::traffic::dns {

class Hub {
 public:
  // `now`: signatures are made for this time.
  void publish(std::shared_ptr<const View> view, WallTime now) {
    const std::lock_guard lock(mutex_);
    view_ = std::move(view);
    at_ = now;
    version_.fetch_add(1, std::memory_order_release);
  }
  // Changes with each publish(); 0 before the first.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  std::pair<std::shared_ptr<const View>, WallTime> latest() const {
    const std::lock_guard lock(mutex_);
    return {view_, at_};
  }

 private:
  mutable std::mutex mutex_;
  std::atomic<std::uint64_t> version_{0};
  std::shared_ptr<const View> view_;
  WallTime at_;
};

}  // namespace evercert::traffic::dns
