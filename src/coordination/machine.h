// SPDX-License-Identifier: Apache-2.0
// The state machine of coordination: keys with revisions, leases, transactions; the meaning of etcd's API. Every
// replica applies the same commands in the same order. No clock: when a lease has run out is decided by the leader
// (lease_clock.h) and comes as a command.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "coordination/layout.h"
#include "coordination/planted.h"
#include "coordination/proto/coordination.pb.h"
#include "coordination/state.h"

namespace evercert::coordination {

// What a run of commands did, for those who watch.
struct Effects {
  struct LeaseChange {
    v1::Lease lease;
    bool gone = false;
  };
  Meta meta;                                                 // after the last command; revision 0: there was none
  std::vector<std::shared_ptr<const mvccpb::Event>> events;  // in order
  std::vector<LeaseChange> leases;

  bool empty() const { return meta.revision == 0; }
};

// Applies one command. A refusal is an Answer too, and leaves the key space as it was. An error (kCorrupt, kIo) means
// that the state could not be read: the node must stop applying.
Result<v1::Answer> apply(const v1::Command& command, State& state, Effects& effects, Bug bug = Bug::kNone);

// Answers a transaction that only reads (only_reads(), checked) from `view`.
Result<v1::Answer> read_transaction(const etcdserverpb::TxnRequest& request, const View& view);

}  // namespace evercert::coordination
