// SPDX-License-Identifier: Apache-2.0
// An executor whose work is done when its maker says so. Time is of no account.
#pragma once

#include <deque>

#include "base/env.h"

namespace evercert::fuzz {

class Later final : public Executor {
 public:
  void post(std::move_only_function<void()> work) override { work_.push_back(std::move(work)); }
  void post_after(Duration, std::move_only_function<void()> work) override { post(std::move(work)); }
  void run() {
    while (!work_.empty()) {
      auto work = std::move(work_.front());
      work_.pop_front();
      work();
    }
  }

 private:
  std::deque<std::move_only_function<void()>> work_;
};

}  // namespace evercert::fuzz
