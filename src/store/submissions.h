// SPDX-License-Identifier: Apache-2.0
// Commands that this node's clients wait for: where each was sent, when to send it again, and what may be said when
// time is up. Pure: events and time in, attempts out. Commands are idempotent, so sending again is always safe; what
// matters is never to say "nothing was done" of a command that may yet be committed.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "store/planted.h"
#include "store/proto/records.pb.h"

namespace evercert::store {

class Submissions {
 public:
  using Done = std::move_only_function<void(Result<v1::Outcome>)>;
  struct Attempt {
    std::uint64_t request;  // to be given back to answered()
    GroupId group;
    std::string command;
    Instant deadline;
  };

  // `silence`: an attempt without an answer for so long is repeated. `pause`: after a refusal that did nothing.
  // `first`: a random number, so that answers to an earlier life of this node fit no request of this one.
  Submissions(Duration silence, Duration pause, std::uint64_t first, Bug bug = Bug::kNone)
      : silence_(silence), pause_(pause), last_(first >> 16), bug_(bug) {}

  void add(GroupId group, std::string command, Instant deadline, Done done);
  // Attempts to be made now; each must be followed by refused(), or later by answered().
  std::vector<Attempt> due(Instant now);
  // The attempt did not leave this node (no leader is known, the proposal was not taken).
  void refused(std::uint64_t request, Instant now);
  // What the leader said. kUnavailable: surely nothing was done. kUnknownOutcome: it lost its leadership. A conflict is
  // passed on as kUnknownOutcome when an earlier attempt may have been carried out: it may be in its own way.
  void answered(std::uint64_t request, Result<v1::Outcome> result, Instant now);
  // Another leader is known: what waits for the old one is sent to it.
  void leader_changed(GroupId group, Instant now);
  // Waiting for a leader is pointless: ends what surely has not happened, instead of at its deadline.
  void no_quorum(GroupId group);
  // Ends what is past its deadline.
  void expire(Instant now);
  std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    GroupId group;
    std::string command;
    Instant deadline;
    Instant next;  // when to try (again)
    std::uint8_t attempt = 0;
    bool in_flight = false;
    bool may_have_happened = false;  // an attempt ended without a definite answer
    Done done;
  };
  void finish(std::map<std::uint64_t, Waiting>::iterator it, Result<v1::Outcome> result);

  Duration silence_;
  Duration pause_;
  std::uint64_t last_;
  Bug bug_;
  std::map<std::uint64_t, Waiting> waiting_;
};

}  // namespace evercert::store
