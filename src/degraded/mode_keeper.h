// SPDX-License-Identifier: Apache-2.0
// The node's mode, looked up now and then, for all who want to know it.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>

#include "base/env.h"
#include "degraded/mode.h"
#include "store/store.h"

namespace evercert::degraded {

class ModeKeeper {
 public:
  // `waiting`: how many operations are in the queue. Looks on `executor`, which must have stopped before this goes.
  ModeKeeper(std::vector<std::string> group_names, store::Store& store, std::function<std::size_t()> waiting,
             WallClock& wall, Executor& executor)
      : store_(store),
        waiting_(std::move(waiting)),
        wall_(wall),
        executor_(executor),
        watch_(std::move(group_names), wall.now()) {}
  void start();
  // Any thread. At once, without waiting for the next look.
  ModeView look();
  ModeView view() const;
  // Something is without a majority, as of the last look. Costs nothing.
  bool degraded() const { return degraded_.load(std::memory_order_relaxed); }

 private:
  store::Store& store_;
  std::function<std::size_t()> waiting_;
  WallClock& wall_;
  Executor& executor_;
  std::atomic<bool> degraded_{false};
  mutable std::mutex mutex_;
  ModeWatch watch_;
};

}  // namespace evercert::degraded
