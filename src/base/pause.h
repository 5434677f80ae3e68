// SPDX-License-Identifier: Apache-2.0
// A task that waits for a while: in the executor's time, which in the simulator is virtual.
#pragma once

#include "base/task.h"

namespace evercert {

inline Task<void> pause(Executor& on, Duration how_long) {
  auto start = [&on, how_long](auto resolve) {
    on.post_after(how_long, [resolve = std::move(resolve)]() mutable { resolve(true); });
  };
  auto waited = suspend_on<bool>(on, std::move(start));
  co_await waited;
}

}  // namespace evercert
