// SPDX-License-Identifier: Apache-2.0
#include "store/submissions.h"

#include "base/probe.h"

namespace evercert::store {
namespace {

// The low byte counts attempts, so that an old attempt's answer is told from the present one's.
constexpr std::uint64_t request_id(std::uint64_t id, std::uint8_t attempt) { return id << 8 | attempt; }

// By compare-and-set: a later change may have come upon an earlier attempt of the same command.
bool conflicts(const v1::Outcome& outcome) { return outcome.code() == 1 + static_cast<std::uint32_t>(Code::kConflict); }

}  // namespace

void Submissions::add(GroupId group, std::string command, Instant deadline, Done done) {
  Waiting waiting;
  waiting.group = group;
  waiting.command = std::move(command);
  waiting.deadline = deadline;
  waiting.done = std::move(done);
  waiting_.emplace(++last_, std::move(waiting));
}

std::vector<Submissions::Attempt> Submissions::due(Instant now) {
  std::vector<Attempt> attempts;
  for (auto& [id, waiting] : waiting_) {
    if (waiting.next > now || waiting.deadline <= now) continue;
    if (waiting.in_flight) {
      EC_PROBE("a command is sent again after silence");
      waiting.may_have_happened = true;
    }
    waiting.in_flight = true;
    waiting.next = now + silence_;
    attempts.push_back({request_id(id, ++waiting.attempt), waiting.group, waiting.command, waiting.deadline});
  }
  return attempts;
}

void Submissions::refused(std::uint64_t request, Instant now) {
  answered(request, fail(Code::kUnavailable, "no leader is known"), now);
}

void Submissions::answered(std::uint64_t request, Result<v1::Outcome> result, Instant now) {
  const auto it = waiting_.find(request >> 8);
  if (it == waiting_.end()) return;
  Waiting& waiting = it->second;
  if (result && conflicts(*result) && waiting.may_have_happened && bug_ != Bug::kRefuseWhatHappened) {
    EC_PROBE("a command conflicts that may have been carried out before");
    return finish(it, fail(Code::kUnknownOutcome, "refused when repeated, perhaps by its own first time"));
  }
  if (result) return finish(it, std::move(result));
  if (static_cast<std::uint8_t>(request) != waiting.attempt) return;  // it was given up and counted as unknown
  waiting.in_flight = false;
  waiting.next = now + pause_;
  if (result.error().code != Code::kUnavailable) waiting.may_have_happened = true;
}

void Submissions::leader_changed(GroupId group, Instant now) {
  for (auto& [id, waiting] : waiting_) {
    if (waiting.group == group) waiting.next = std::min(waiting.next, now);
  }
}

void Submissions::no_quorum(GroupId group) {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto here = it++;
    const Waiting& waiting = here->second;
    if (waiting.group != group || waiting.in_flight || waiting.may_have_happened) continue;
    finish(here, fail(Code::kUnavailable, "no majority of the nodes can be reached: nothing was done"));
  }
}

void Submissions::expire(Instant now) {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto here = it++;
    if (here->second.deadline > now) continue;
    const bool unknown = (here->second.in_flight || here->second.may_have_happened) && bug_ != Bug::kNothingWasDone;
    if (unknown) EC_PROBE("a client is told that the outcome is unknown");
    finish(here, unknown ? fail(Code::kUnknownOutcome, "no answer in time: the command may still be carried out")
                         : fail(Code::kUnavailable, "no leader took the command in time: nothing was done"));
  }
}

void Submissions::finish(std::map<std::uint64_t, Waiting>::iterator it, Result<v1::Outcome> result) {
  Done done = std::move(it->second.done);
  waiting_.erase(it);
  done(std::move(result));
}

}  // namespace evercert::store
