// SPDX-License-Identifier: Apache-2.0
// Numbers the commands of one life of a node, so that the state machine applies each at most once however often it is
// proposed, and knows which answers nobody will ask for again. Any thread.
#pragma once

#include <mutex>
#include <set>

#include "coordination/proto/coordination.pb.h"

namespace evercert::coordination {

class Proposer {
 public:
  // `session` grows with every start of the node (wall time will do).
  Proposer(std::uint64_t node, std::uint64_t session) : node_(node), session_(session) {}

  // Stamps the command; the number is to be given to end() when its answer is there or given up (Proposed does it).
  std::uint64_t begin(v1::Command& command) {
    std::lock_guard lock(mutex_);
    const std::uint64_t sequence = next_++;
    waiting_.insert(sequence);
    command.set_proposer(node_);
    command.set_session(session_);
    command.set_sequence(sequence);
    command.set_done_below(*waiting_.begin());
    return sequence;
  }
  void end(std::uint64_t sequence) {
    std::lock_guard lock(mutex_);
    waiting_.erase(sequence);
  }
  // The command was refused because the state knows a later life: the wall clock went back.
  void adopt(std::uint64_t known_session) {
    std::lock_guard lock(mutex_);
    if (session_ <= known_session) session_ = known_session + 1;
  }

 private:
  std::uint64_t node_;
  std::mutex mutex_;
  std::uint64_t session_;
  std::uint64_t next_ = 1;
  std::set<std::uint64_t> waiting_;
};

// A command that somebody waits for, until its answer is there or the waiting is given up.
class Proposed {
 public:
  Proposed(Proposer& proposer, v1::Command& command) : proposer_(proposer), sequence_(proposer.begin(command)) {}
  Proposed(const Proposed&) = delete;
  Proposed& operator=(const Proposed&) = delete;
  ~Proposed() { proposer_.end(sequence_); }

 private:
  Proposer& proposer_;
  std::uint64_t sequence_;
};

}  // namespace evercert::coordination
