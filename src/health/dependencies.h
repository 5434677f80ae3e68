// SPDX-License-Identifier: Apache-2.0
// What a look at the things that a node depends on amounts to: the store's groups, and the clock. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "health/component.h"
#include "health/score.h"

namespace evercert::health {

struct GroupRead {
  std::string group;   // name
  bool fresh = false;  // a read of it was, in time
};
// Fails when one of them was not, and names all that were not.
CheckResult judge_reads(const std::vector<GroupRead>& reads);

// `offset_ms`: the clock minus the median of its peers'. 100 up to 2 s, 0 at 10 s, and whenever it is not `trusted`:
// such a node signs nothing.
Score judge_clock(std::int64_t offset_ms, bool trusted);

}  // namespace evercert::health
