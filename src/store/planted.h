// SPDX-License-Identifier: Apache-2.0
// Bugs that tests plant on purpose, one per rule that must hold: a checker that does not find them is no checker.
// Production code never sets one.
#pragma once

#include <string_view>

namespace evercert::store {

enum class Bug {
  kNone,
  kGrantWithoutLogCheck,  // a promise counts although the region lacks entries that the giver acknowledged
  kCountFromReceipt,      // the holder counts a promise from when it arrived instead of from when it asked
  kIgnorePromises,        // the leader answers on a majority alone
  kReadPending,           // a reader ignores entries on its record that are not committed yet
  kAckOnAppend,           // the leader answers when its own log has the entry
  kReadOwnLogOnly,        // with several zones a reader asks no neighbour for the end of its log
  kLeaseCheckedLast,      // a reader takes the end of its log first and looks at its lease afterwards
  kAckBeforeSync,         // messages that promise durability leave before the disk has it
  kForgetVote,            // term and vote are not written down
};

inline constexpr Bug kAllBugs[] = {Bug::kGrantWithoutLogCheck, Bug::kCountFromReceipt, Bug::kIgnorePromises,
                                   Bug::kReadPending,          Bug::kAckOnAppend,      Bug::kReadOwnLogOnly,
                                   Bug::kLeaseCheckedLast,     Bug::kAckBeforeSync,    Bug::kForgetVote};

constexpr std::string_view to_string(Bug bug) {
  switch (bug) {
    case Bug::kNone: return "none";
    case Bug::kGrantWithoutLogCheck: return "grant_without_log_check";
    case Bug::kCountFromReceipt: return "count_from_receipt";
    case Bug::kIgnorePromises: return "ignore_promises";
    case Bug::kReadPending: return "read_pending";
    case Bug::kAckOnAppend: return "ack_on_append";
    case Bug::kReadOwnLogOnly: return "read_own_log_only";
    case Bug::kLeaseCheckedLast: return "lease_checked_last";
    case Bug::kAckBeforeSync: return "ack_before_sync";
    case Bug::kForgetVote: return "forget_vote";
  }
  return "?";
}

}  // namespace evercert::store
