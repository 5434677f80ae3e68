// SPDX-License-Identifier: Apache-2.0
// Bugs that tests plant on purpose, one per rule that must hold: a checker that does not find them is no checker.
// Production code never sets one.
#pragma once

#include <string_view>

namespace evercert::store {

enum class Bug {
  kNone,
  kGrantWithoutLogCheck,
  kCountFromReceipt,
  kIgnorePromises,
  kReadPending,
  kApplyBeforeSettled,
  kAckOnAppend,
  kReadOwnLogOnly,
  kLeaseCheckedLast,
  kAckBeforeSync,
  kForgetVote,
  kOldFloor,
  kForgetPromises,
  kCountOldAcks,
  kReadOwnCommit,
  kCompareIndexes,
  kForgetfulMember,
  kVoteBehindGate,
  kPromiseBehindGate,
  kReadToldBehindGate,
  kKeepTermAfterLoss,
  kForgetFloor,
  kKeepNeighbour,
  kOldLife,
  kSnapshotNotSynced,
  kSnapshotGap,
  kKeepCaches,
  kStateBehindLog,
  kTrustUnsynced,
  kRetrySync,
  kCutDamage,
  kIgnoreDamage,
  kNothingWasDone,
  kRefuseWhatHappened,
  kAnswerOvertaken,
  kReissueRevoked,
  kFinalizeTwice,
  kLastClaimWins,
  kCrlNumberAgain,
  kIgnoreFloor,
  kEpochStays,
  kUndoOperatorsFence,
  kFenceOnOwnWord,
  kFloorAtHomeOnly,
  kNeverReadmit,
  kStandInGoesOn,
  kStandInStays,
  kNumberForAnybody,
  kNoFloorAtReadmission,
};

struct PlantedBug {
  Bug bug;
  std::string_view name;
  std::string_view what;  // what it does
};
inline constexpr PlantedBug kPlantedBugs[] = {
    {Bug::kGrantWithoutLogCheck, "grant_without_log_check",
     "a promise counts although the region lacks entries that the giver acknowledged"},
    {Bug::kCountFromReceipt, "count_from_receipt",
     "the holder counts a promise from when it arrived instead of from when it asked"},
    {Bug::kIgnorePromises, "ignore_promises", "the leader answers on a majority alone"},
    {Bug::kReadPending, "read_pending", "a reader ignores entries on its record that are not applied yet"},
    {Bug::kApplyBeforeSettled, "apply_before_settled",
     "what a majority has is applied before the regions that may read have it"},
    {Bug::kAckOnAppend, "ack_on_append", "the leader answers when its own log has the entry"},
    {Bug::kReadOwnLogOnly, "read_own_log_only", "with several zones a reader asks no neighbour for the end of its log"},
    {Bug::kLeaseCheckedLast, "lease_checked_last",
     "a reader takes the end of its log first and looks at its lease afterwards"},
    {Bug::kAckBeforeSync, "ack_before_sync", "messages that promise durability leave before the disk has it"},
    {Bug::kForgetVote, "forget_vote", "term and vote are not written down"},
    {Bug::kOldFloor, "old_floor", "a promise that had lapsed is given anew with its old floor"},
    {Bug::kForgetPromises, "forget_promises", "promises of the life before a restart are not named for a while"},
    {Bug::kCountOldAcks, "count_old_acks", "acknowledgements of an earlier term count in this one"},
    {Bug::kReadOwnCommit, "read_own_commit", "without a lease a reader takes its own commit index for the group's"},
    {Bug::kCompareIndexes, "compare_indexes", "the ends of two logs are compared by index instead of by term first"},
    {Bug::kForgetfulMember, "forgetful_member", "a node that lost its disk goes on at once, without asking the others"},
    {Bug::kVoteBehindGate, "vote_behind_gate", "a node that lost its disk votes before it has caught up"},
    {Bug::kPromiseBehindGate, "promise_behind_gate",
     "a node that lost its disk gives promises before it has caught up"},
    {Bug::kReadToldBehindGate, "read_told_behind_gate",
     "a node that lost its disk tells a neighbour's reader the end of its log"},
    {Bug::kKeepTermAfterLoss, "keep_term_after_loss",
     "a node that lost its disk keeps to the term that it hears, in which it may have voted and acknowledged"},
    {Bug::kForgetFloor, "forget_floor",
     "a node that lost its disk and restarts does not know any more how far it must catch up"},
    {Bug::kKeepNeighbour, "keep_neighbour", "what a neighbour told of its log before it restarted still counts"},
    {Bug::kOldLife, "old_life", "what a peer said before it restarted is heard after it"},
    {Bug::kSnapshotNotSynced, "snapshot_not_synced",
     "a snapshot is acknowledged though the log has not synced that it begins there"},
    {Bug::kSnapshotGap, "snapshot_gap", "a snapshot's chunk is taken although the one before it is missing"},
    {Bug::kKeepCaches, "keep_caches", "caches of records are kept over a snapshot"},
    {Bug::kStateBehindLog, "state_behind_log", "the log is cut though the state is not durable up to there"},
    {Bug::kTrustUnsynced, "trust_unsynced", "a start trusts what it reads of the log without writing it anew"},
    {Bug::kRetrySync, "retry_sync", "a failed fsync is taken for a passing trouble"},
    {Bug::kCutDamage, "cut_damage", "damage within the log is taken for a torn tail and cut off"},
    {Bug::kIgnoreDamage, "ignore_damage", "a leader with a damaged state goes on, unable to send a snapshot"},
    {Bug::kNothingWasDone, "nothing_was_done",
     "a client is told that nothing was done of a command that may be carried out"},
    {Bug::kRefuseWhatHappened, "refuse_what_happened",
     "a repeated command that conflicts with its own first time is told as refused"},
    {Bug::kAnswerOvertaken, "answer_overtaken",
     "the outcome of another leader's entry is told as that of the proposal whose place it took"},
    {Bug::kReissueRevoked, "reissue_revoked", "an issuance that is repeated stores its certificate again"},
    {Bug::kFinalizeTwice, "finalize_twice", "an order that has a certificate takes another"},
    {Bug::kLastClaimWins, "last_claim_wins", "an idempotency key goes to the last one who claims it"},
    {Bug::kCrlNumberAgain, "crl_number_again",
     "a CRL number that was given out is not stored when its issuer is the first region"},
    {Bug::kIgnoreFloor, "ignore_floor", "what a fenced region signed under an earlier epoch is stored after the floor"},
    {Bug::kEpochStays, "epoch_stays", "the membership changes and its epoch does not"},
    {Bug::kUndoOperatorsFence, "undo_operators_fence", "a region that an operator fenced is admitted when it is heard"},
    {Bug::kFenceOnOwnWord, "fence_on_own_word", "the leader fences a region that it alone does not hear"},
    {Bug::kFloorAtHomeOnly, "floor_at_home_only", "a fence is carried to the fenced region's own group and no other"},
    {Bug::kNeverReadmit, "never_readmit", "a region that was fenced by attestations stays so for good"},
    {Bug::kStandInGoesOn, "stand_in_goes_on",
     "who signs a fenced region's CRLs goes on when the region is admitted again"},
    {Bug::kStandInStays, "stand_in_stays", "who signs a fenced region's CRLs keeps the duty when it is fenced itself"},
    {Bug::kNumberForAnybody, "number_for_anybody",
     "the global group gives a CRL number to a region that does not sign the issuer's CRLs any more"},
    {Bug::kNoFloorAtReadmission, "no_floor_at_readmission",
     "when a region is admitted again, what its stand-in signed before is still stored"},
};

constexpr std::string_view to_string(Bug bug) {
  for (const PlantedBug& planted : kPlantedBugs) {
    if (planted.bug == bug) return planted.name;
  }
  return "none";
}

}  // namespace evercert::store
