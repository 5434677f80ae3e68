// SPDX-License-Identifier: Apache-2.0
// What coordination needs of a store besides submit() and freshen() (of kCoordinationRecord in the global group).
// All methods may be called from any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/time.h"
#include "coordination/machine.h"
#include "coordination/state.h"

namespace evercert::store {

class CoordinationStore {
 public:
  virtual ~CoordinationStore() = default;
  // The key space as this node has it now, without any claim to freshness.
  virtual std::unique_ptr<coordination::View> coordination_view() = 0;
  // Called on the store's thread after commands were applied, in order and without a gap; `replaced` after a snapshot
  // took the place of the key space. Before the first command is proposed.
  virtual void on_coordination(std::function<void(const coordination::Effects&)> applied,
                               std::function<void()> replaced) = 0;
  // What is left of a lease's time, as far as this node can say.
  virtual std::optional<Duration> lease_remaining(std::int64_t lease) = 0;
};

}  // namespace evercert::store
