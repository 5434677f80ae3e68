// SPDX-License-Identifier: Apache-2.0
// When the history of the key space is cut, by policy. Every replica watches on its own clock how the revision grows;
// the leader alone says, in a command, up to where the history goes. A replica that lags has seen less and so keeps
// more, and one that has just started begins to count anew: no change of leaders makes the history shorter than what is
// to be kept. Pure: the key space and the time come in, a revision goes out.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/time.h"
#include "coordination/layout.h"
#include "coordination/planted.h"

namespace evercert::coordination {

struct CompactionPolicy {
  enum class Mode {
    kOff,
    kPeriodic,  // every revision that was the latest at some time within `retention` can be read
    kRevision,  // the latest `revisions` can be read
  };
  Mode mode = Mode::kOff;
  Duration retention{0};
  std::int64_t revisions = 0;
  Duration interval = 5min;  // between two looks, at most; never more than a tenth of the retention
};

class AutoCompaction {
 public:
  explicit AutoCompaction(CompactionPolicy policy, Bug bug = Bug::kNone);

  // Cheap: whether look() is to be called.
  bool due(Instant now) const { return policy_.mode != CompactionPolicy::Mode::kOff && now >= next_; }
  // `meta`: as it is applied here. The revision up to which the history may go, when it has not gone there yet. Who
  // leads proposes it; what is lost on the way is found again by the next look.
  std::optional<std::int64_t> look(const Meta& meta, Instant now);

 private:
  struct Sample {
    Instant at;
    std::int64_t revision;
  };
  std::int64_t kept_from(const Meta& meta, Instant now);

  CompactionPolicy policy_;
  Bug bug_;
  Instant next_;
  std::deque<Sample> samples_;  // the latest revision at times past; the first is the last one before the retention
};

}  // namespace evercert::coordination
