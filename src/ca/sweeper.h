// SPDX-License-Identifier: Apache-2.0
// Takes out of the groups that this node leads what time has ended: expired orders with their authorizations, and
// idempotency keys. A slow walk over the records, so that its cost is the same however many there are. Certificates,
// voided serial numbers, accounts and their keys stay.
#pragma once

#include <atomic>
#include <map>
#include <memory>

#include "base/env.h"
#include "base/task_scope.h"
#include "store/store.h"
#include "store/sweep.h"

namespace evercert::ca {

struct SweepOptions {
  Duration interval = 1s;                        // between two looks at a group
  std::size_t records_at_a_time = 1000;          // that one look takes in; what it finds is one command
  std::int64_t orders_kept_ms = 86'400'000;      // beyond their expiry
  std::int64_t keys_kept_ms = 7 * 86'400'000ll;  // an idempotency key is remembered for so long
  Duration submit_timeout = 8s;
};

class Sweeper {
 public:
  // The thread of `executor` ends before the sweeper goes, or is the one that lets it go.
  Sweeper(SweepOptions options, store::Store& store, WallClock& wall, Executor& executor)
      : options_(options), store_(store), wall_(wall), executor_(executor) {}
  // Looks at each group that is led here once an interval, from now on.
  void start();
  // One look now at each group that is led here.
  Task<void> look();

  struct Counts {
    std::atomic<std::uint64_t> orders{0}, request_keys{0};  // removed at this node's word
  };
  const Counts& counts() const { return counts_; }

 private:
  SweepOptions options_;
  store::Store& store_;
  WallClock& wall_;
  Executor& executor_;
  std::map<std::uint32_t, store::SweepPlace> places_;  // by group
  Counts counts_;
  TaskScope looking_;
};

}  // namespace evercert::ca
