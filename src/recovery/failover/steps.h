// SPDX-License-Identifier: Apache-2.0
// The steps of a plan: which there are for what, when each may begin, what it does, when it is done, and how long it
// may take. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recovery/failover/detection.h"
#include "recovery/failover/model.h"

namespace evercert::recovery {

std::vector<Step> plan_for(const Incident& incident);
std::vector<Step> plan_return(const Incident& incident, const Policy& policy);

enum class Verdict : std::uint8_t {
  kSkip,  // not needed
  kWait,  // cannot begin, or is under way
  kAct,   // its effect is to be carried out
  kDone,
  kFail,  // will not come about
};
struct Judgement {
  Verdict verdict = Verdict::kWait;
  std::string evidence;
};
// Of a step that waits or is running, whatever controller began it.
Judgement judge(const Step& step, const Incident& incident, const Sight& sight);

// Its plan leads traffic away, from a region or a node, and back.
constexpr bool moves_traffic(Kind kind) {
  return kind == Kind::kRegion || kind == Kind::kZone || kind == Kind::kComponent;
}
// Of a kDivert or kShare: what is led there now, in per cent.
int share_of(const Step& step, const Sight& sight);

// Why a region's traffic may not be taken away now, or at all; empty: it may.
std::string forbids_taking_out(RegionId region, bool by_person, bool alive, const Sight& sight);

// A change of membership: it compares with an epoch, and must be brought to an end.
bool changes_membership(StepKind kind);
// Is carried out by whoever runs the controller (the others are writes of the controller itself, or watch).
bool has_effect(StepKind kind);
// nullopt: it waits as long as it takes; a person may abort.
std::optional<Duration> patience(const Step& step, const Policy& policy);
// One that fails keeps the plan from going on: a person decides.
bool halts(const Step& step, const Incident& incident);

// Why the return of traffic is to be broken off; empty: it goes well. `evidence`: what is seen.
std::string gets_worse(const Step& step, const Sight& sight, std::string& evidence);

}  // namespace evercert::recovery
