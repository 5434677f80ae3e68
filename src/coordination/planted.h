// SPDX-License-Identifier: Apache-2.0
// Bugs that tests plant on purpose, one per promise of the service: a checker that does not find them is no checker.
// Production code never sets one.
#pragma once

#include <string_view>

namespace evercert::coordination {

enum class Bug {
  kNone,
  kExpireEarly,
  kIgnoreRenewal,
  kLeaseKeepsKeys,
  kReuseToken,
  kCompareAfterWrite,
  kApplyTwice,
  kSkipAtResume,
  kDropWhenSlow,
  kCompactTooMuch,
  kKeepTooLittle,
  kSilentGap,
  kHoldUnseen,
};

struct PlantedBug {
  Bug bug;
  std::string_view name;
  std::string_view what;  // what it does
};
inline constexpr PlantedBug kPlantedBugs[] = {
    {Bug::kExpireEarly, "expire_early", "a new leader does not begin a lease's time anew but ends it soon"},
    {Bug::kIgnoreRenewal, "ignore_renewal", "an expiry ends a lease although it was renewed meanwhile"},
    {Bug::kLeaseKeepsKeys, "lease_keeps_keys", "a lease ends and its keys stay"},
    {Bug::kReuseToken, "reuse_token", "a key that is made again has the revision of its first life"},
    {Bug::kCompareAfterWrite, "compare_after_write", "a transaction looks at what its own first write has made"},
    {Bug::kApplyTwice, "apply_twice", "a repeated command is applied again"},
    {Bug::kSkipAtResume, "skip_at_resume", "a watch that resumes begins one revision late"},
    {Bug::kDropWhenSlow, "drop_when_slow", "a watcher whose queue is full loses events"},
    {Bug::kCompactTooMuch, "compact_too_much", "compaction removes events that watches may still ask for"},
    {Bug::kKeepTooLittle, "keep_too_little", "automatic compaction goes beyond what its retention keeps"},
    {Bug::kSilentGap, "silent_gap", "a watch that compaction has overtaken goes on without being told"},
    {Bug::kHoldUnseen, "hold_unseen", "a lock is taken to be held before its node has applied what came first"},
};

}  // namespace evercert::coordination
