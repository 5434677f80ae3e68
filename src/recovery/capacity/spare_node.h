// SPDX-License-Identifier: Apache-2.0
// A node that is run while capacity is needed votes meanwhile, and is none of the nodes otherwise: what is to be done
// about it next. It is added when it runs, and ended when it is in no group any more, so that no group ever waits for
// one that is gone. Pure.
#pragma once

#include "base/time.h"

namespace evercert::recovery {

struct SpareNodeStanding {
  bool wanted = false;   // capacity is needed
  bool runs = false;     // its process
  bool answers = false;  // and says that it is there
  bool named = false;    // one of those that are to vote
  bool member = false;   // of a group, still or already
  bool settled = false;  // no change of the members is under way
};

enum class SpareNodeStep { kNone, kAdd, kRemove, kEnd };

inline SpareNodeStep next_step(const SpareNodeStanding& of) {
  if (of.wanted) return of.answers && !of.named && of.settled ? SpareNodeStep::kAdd : SpareNodeStep::kNone;
  // Also when its process is gone: whoever started it may have been started anew.
  if (of.named) return of.settled ? SpareNodeStep::kRemove : SpareNodeStep::kNone;
  return of.runs && !of.member && of.settled ? SpareNodeStep::kEnd : SpareNodeStep::kNone;
}

}  // namespace evercert::recovery
