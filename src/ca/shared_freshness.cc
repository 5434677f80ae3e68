// SPDX-License-Identifier: Apache-2.0
#include "ca/shared_freshness.h"

namespace evercert::ca {

Task<store::Freshness> SharedFreshness::freshen(Executor& on, GroupId group) {
  auto start = [this, &on, group](auto resolve) {
    {
      std::lock_guard lock(mutex_);
      Group& joining = groups_[group.value];
      joining.joined.push_back(std::move(resolve));
      if (std::exchange(joining.looking, true)) return;
    }
    // When this turn of the executor is over: all that it brings share the look.
    on.post([this, &on, group] { looks_.spawn(look(on, group)); });
  };
  auto told = suspend_on<store::Freshness>(on, std::move(start));
  co_return co_await told;
}

Task<void> SharedFreshness::look(Executor& on, GroupId group) {
  for (;;) {
    std::vector<std::function<void(store::Freshness)>> asking;
    {
      std::lock_guard lock(mutex_);
      Group& joined = groups_[group.value];
      asking.swap(joined.joined);
      joined.looking = !asking.empty();
    }
    if (asking.empty()) co_return;
    const store::Freshness freshness = co_await store_.freshen(on, group, "", timeout_);
    for (auto& tell : asking) tell(freshness);
  }
}

}  // namespace evercert::ca
