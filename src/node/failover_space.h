// SPDX-License-Identifier: Apache-2.0
// The key space as the failover controller uses it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/coordination/coordinator.h"
#include "recovery/failover/session.h"

namespace evercert::node {

struct StoredValue {
  std::string value;
  std::int64_t revision = 0;  // of its last change
  std::int64_t lease = 0;     // 0: none
};

class FailoverSpace {
 public:
  // Outlives every task it gave out.
  explicit FailoverSpace(api::Coordinator& coordinator) : coordinator_(coordinator) {}

  // `fresh`: sees every write acknowledged before; else what this node has.
  Task<Result<std::optional<StoredValue>>> get(Executor& on, std::string key, bool fresh);
  // `most`: the first so many; 0: all.
  Task<Result<std::vector<std::pair<std::string, StoredValue>>>> list(Executor& on, std::string prefix, bool fresh,
                                                                      std::int64_t most = 0);
  // All of it, if `lock` was created at the write's token and the rest is as the write expects it: the revision.
  // kConflict: it is not, nothing was done.
  Task<Result<std::int64_t>> write(Executor& on, std::string lock, recovery::Write write);

 private:
  api::Coordinator& coordinator_;
};

}  // namespace evercert::node
