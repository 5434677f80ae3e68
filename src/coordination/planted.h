// SPDX-License-Identifier: Apache-2.0
// Bugs that tests plant on purpose, one per promise of the service: a checker that does not find them is no checker.
// Production code never sets one.
#pragma once

#include <string_view>

namespace evercert::coordination {

enum class Bug {
  kNone,
  kExpireEarly,        // a new leader does not begin a lease's time anew but ends it soon
  kIgnoreRenewal,      // an expiry ends a lease although it was renewed meanwhile
  kLeaseKeepsKeys,     // a lease ends and its keys stay
  kReuseToken,         // a key that is made again has the revision of its first life
  kCompareAfterWrite,  // a transaction looks at what its own first write has made
  kApplyTwice,         // a repeated command is applied again
  kSkipAtResume,       // a watch that resumes begins one revision late
  kDropWhenSlow,       // a watcher whose queue is full loses events
  kCompactTooMuch,     // compaction removes events that watches may still ask for
};

inline constexpr Bug kAllBugs[] = {Bug::kExpireEarly,  Bug::kIgnoreRenewal,     Bug::kLeaseKeepsKeys,
                                   Bug::kReuseToken,   Bug::kCompareAfterWrite, Bug::kApplyTwice,
                                   Bug::kSkipAtResume, Bug::kDropWhenSlow,      Bug::kCompactTooMuch};

constexpr std::string_view to_string(Bug bug) {
  switch (bug) {
    case Bug::kNone: return "none";
    case Bug::kExpireEarly: return "expire_early";
    case Bug::kIgnoreRenewal: return "ignore_renewal";
    case Bug::kLeaseKeepsKeys: return "lease_keeps_keys";
    case Bug::kReuseToken: return "reuse_token";
    case Bug::kCompareAfterWrite: return "compare_after_write";
    case Bug::kApplyTwice: return "apply_twice";
    case Bug::kSkipAtResume: return "skip_at_resume";
    case Bug::kDropWhenSlow: return "drop_when_slow";
    case Bug::kCompactTooMuch: return "compact_too_much";
  }
  return "?";
}

}  // namespace evercert::coordination
