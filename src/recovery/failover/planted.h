// SPDX-License-Identifier: Apache-2.0
// Bugs that tests plant on purpose, one per promise of the controller: a checker that does not find them is no checker.
// Production code never sets one.
#pragma once

#include <string_view>

namespace evercert::recovery {

enum class Bug {
  kNone,
  kOneWord,
  kStaleData,
  kLastRegion,
  kNoPause,
  kActBeforeRecord,
  kUnguardedChange,
  kNoStepBack,
  kSilentStep,
  kUnfencedWrite,
  kOverridePerson,
  kIgnoreWord,
  kOldEvidence,
  kOldVerdict,
};

struct PlantedBug {
  Bug bug;
  std::string_view name;
  std::string_view what;  // what it does
};
inline constexpr PlantedBug kPlantedBugs[] = {
    {Bug::kOneWord, "one_word", "the word of one region is enough to take another out"},
    {Bug::kStaleData, "stale_data", "what was seen long ago counts as if it were true now"},
    {Bug::kLastRegion, "last_region", "nobody counts how many regions are left"},
    {Bug::kNoPause, "no_pause", "traffic is moved again as soon as the evidence changes"},
    {Bug::kActBeforeRecord, "act_before_record", "a step is carried out before it is written down"},
    {Bug::kUnguardedChange, "unguarded_change",
     "a change of the membership does not say by which token it is asked for"},
    {Bug::kNoStepBack, "no_step_back", "traffic goes on to return although it gets worse"},
    {Bug::kSilentStep, "silent_step", "a step that is skipped is not in the log"},
    {Bug::kUnfencedWrite, "unfenced_write", "a controller that was replaced may still write"},
    {Bug::kOverridePerson, "override_person", "a region that a person has drained or fenced is put back"},
    {Bug::kIgnoreWord, "ignore_word", "a plan goes on although a person has put the region back since"},
    {Bug::kOldEvidence, "old_evidence", "what was seen before a person put the region back counts against it"},
    {Bug::kOldVerdict, "old_verdict", "a region is taken out for a reason that is over, while the verdict still holds"},
};

}  // namespace evercert::recovery
