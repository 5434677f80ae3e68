// SPDX-License-Identifier: Apache-2.0
// Freshness of a group's reads, asked for in common. Where a read must ask its neighbours (several zones), all requests
// that come until a look begins share it; who comes while it is under way waits for the next one. So whoever is told
// "fresh" is told so of a look that began after it asked.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "base/env.h"
#include "base/task_scope.h"
#include "store/store.h"

namespace evercert::ca {

class SharedFreshness {
 public:
  SharedFreshness(store::Store& store, Duration timeout) : store_(store), timeout_(timeout) {}
  // As Store::freshen() of the whole group: entries that are in the log and not applied are the caller's affair. Any
  // thread.
  Task<store::Freshness> freshen(Executor& on, GroupId group);

 private:
  struct Group {
    std::vector<std::function<void(store::Freshness)>> joined;
    bool looking = false;
  };
  Task<void> look(Executor& on, GroupId group);

  store::Store& store_;
  Duration timeout_;
  std::mutex mutex_;
  std::map<std::uint32_t, Group> groups_;
  TaskScope looks_;
};

}  // namespace evercert::ca
