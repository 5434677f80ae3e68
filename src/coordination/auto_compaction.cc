// SPDX-License-Identifier: Apache-2.0
#include "coordination/auto_compaction.h"

#include <algorithm>

namespace evercert::coordination {

using Mode = CompactionPolicy::Mode;

AutoCompaction::AutoCompaction(CompactionPolicy policy, Bug bug) : policy_(policy), bug_(bug) {
  if (policy_.mode == Mode::kPeriodic) policy_.interval = std::min(policy_.interval, policy_.retention / 10);
}

std::optional<std::int64_t> AutoCompaction::look(const Meta& meta, Instant now) {
  next_ = now + policy_.interval;
  const std::int64_t from = kept_from(meta, now);
  if (from <= std::max<std::int64_t>(meta.compacted, 1)) return std::nullopt;
  return from;
}

// The first revision that is kept.
std::int64_t AutoCompaction::kept_from(const Meta& meta, Instant now) {
  if (policy_.mode == Mode::kRevision)
    return bug_ == Bug::kKeepTooLittle ? meta.revision : meta.revision - policy_.revisions;
  samples_.push_back({now, meta.revision});
  if (bug_ == Bug::kKeepTooLittle) return meta.revision;
  while (samples_.size() > 1 && samples_[1].at + policy_.retention <= now) samples_.pop_front();
  return samples_.front().at + policy_.retention <= now ? samples_.front().revision : 0;
}

}  // namespace evercert::coordination
