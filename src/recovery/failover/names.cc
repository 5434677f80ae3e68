// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/model.h"

namespace evercert::recovery {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kRegion: return "region";
    case Kind::kZone: return "zone";
    case Kind::kComponent: return "component";
    case Kind::kPartition: return "partition";
    case Kind::kDatabase: return "database";
  }
  return "?";
}

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::kConfirmed: return "confirmed";
    case Phase::kApproval: return "awaits approval";
    case Phase::kExecuting: return "executing";
    case Phase::kStabilised: return "stabilised";
    case Phase::kReturning: return "returning";
    case Phase::kClosed: return "closed";
  }
  return "?";
}

std::string_view to_string(StepKind kind) {
  switch (kind) {
    case StepKind::kAddCapacity: return "add capacity";
    case StepKind::kWarm: return "warm";
    case StepKind::kDivert: return "divert";
    case StepKind::kAwaitRequests: return "await requests";
    case StepKind::kConfirmFence: return "confirm fence";
    case StepKind::kDrain: return "drain";
    case StepKind::kLeaders: return "leaders";
    case StepKind::kQueues: return "queues";
    case StepKind::kRedundancy: return "redundancy";
    case StepKind::kReadmit: return "readmit";
    case StepKind::kShare: return "share";
    case StepKind::kReleaseCapacity: return "release capacity";
  }
  return "?";
}

std::string_view to_string(StepState state) {
  switch (state) {
    case StepState::kWaiting: return "waiting";
    case StepState::kRunning: return "running";
    case StepState::kDone: return "done";
    case StepState::kSkipped: return "skipped";
    case StepState::kFailed: return "failed";
  }
  return "?";
}

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::kAutomatic: return "automatic";
    case Mode::kApproval: return "approval";
    case Mode::kManual: return "manual";
  }
  return "?";
}

std::string_view to_string(Standing standing) {
  switch (standing) {
    case Standing::kServing: return "serving";
    case Standing::kDraining: return "draining";
    case Standing::kFenced: return "fenced";
    case Standing::kOther: return "no serving region";
  }
  return "?";
}

std::string describe(const Step& step, const Cluster& cluster) {
  const auto named = cluster.regions.find(step.region);
  const std::string region = named == cluster.regions.end() ? "?" : named->second;
  const std::string to = step.node == NodeId{} ? region : region + "/" + std::to_string(step.node.value % 256);
  switch (step.kind) {
    case StepKind::kAddCapacity: return "start emergency capacity";
    case StepKind::kWarm: return "the others answer for what " + region + " has issued";
    case StepKind::kDivert: return "lead no traffic to " + to;
    case StepKind::kAwaitRequests: return "requests in flight in " + region + " end";
    case StepKind::kConfirmFence: return "the store has fenced " + region;
    case StepKind::kDrain: return "drain " + region + " in the store";
    case StepKind::kLeaders: return "every group is led";
    case StepKind::kQueues: return "what waits for a majority is in order";
    case StepKind::kRedundancy: return "the rest of " + region + " does the work";
    case StepKind::kReadmit: return region + " serves again in the store";
    case StepKind::kShare: return "lead " + std::to_string(step.share) + " % of its traffic to " + to;
    case StepKind::kReleaseCapacity: return "end emergency capacity";
  }
  return "?";
}

}  // namespace evercert::recovery
