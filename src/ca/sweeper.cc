// SPDX-License-Identifier: Apache-2.0
#include "ca/sweeper.h"

#include "base/log.h"

namespace evercert::ca {

void Sweeper::start() {
  executor_.post_after(options_.interval, [this] { looking_.spawn(look(), [this] { start(); }); });
}

Task<void> Sweeper::look() {
  if (!store_.clock_trusted()) co_return;
  const std::int64_t now_ms = wall_.now().ms;
  const store::SweepLimits limits{now_ms - options_.orders_kept_ms, now_ms - options_.keys_kept_ms};
  for (const auto& status : store_.group_status()) {
    if (!status.leads_here) continue;
    auto found = store_.find_swept(status.group, limits, options_.records_at_a_time, places_[status.group.value]);
    if (!found) {
      log_error("sweep: the records of a group cannot be read: " + found.error().message);
      continue;
    }
    if (found->order_ids().empty() && found->request_keys().empty()) continue;
    store::v1::Command command;
    *command.mutable_sweep() = std::move(*found);
    // What is not removed now is found by the next walk.
    const auto swept = co_await store_.submit(executor_, status.group, std::move(command), options_.submit_timeout);
    if (!swept) continue;
    counts_.orders += swept->swept_orders();
    counts_.request_keys += swept->swept_request_keys();
  }
}

}  // namespace evercert::ca
