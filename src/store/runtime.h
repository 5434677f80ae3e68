// SPDX-License-Identifier: Apache-2.0
// The engine on an Executor, behind the Store interface that any thread may call. Events gather in an inbox; one turn
// takes all of them and flushes once, so that many clients share one fsync.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/env.h"
#include "store/coordination_store.h"
#include "store/engine.h"
#include "store/store.h"

namespace evercert::store {

struct RuntimeOptions {
  EngineOptions engine;
  std::string data_dir;  // log/ and state/ are made below it
  // A turn costs an fsync and a message to each peer whatever it holds, so turns must not follow each other too
  // closely: after each one the store rests in proportion to its length, and what comes in meanwhile shares the next
  // turn. What peers say is urgent, since somebody's answer waits for it; clients' commands wait a little longer, most
  // often for the next word of a peer. An idle store acts at once; on a busy or slow machine turns grow and become
  // fewer.
  struct Rest {
    int per_turn;
    Duration longest;
  };
  Rest peers{2, 2ms}, clients{6, 5ms};
};

// What the runtime needs of the transport. Batches are encoded v1::Batch messages.
using SendBatch = std::function<void(NodeId to, std::string batch)>;

class Runtime : public Store, public CoordinationStore {
 public:
  // Opens log and state and starts the engine on `executor` (which must outlive the runtime, like everything given).
  // `on_fatal` is called on the executor when the node must stop: a failed fsync, damaged state.
  // kCorrupt: the log or the state is damaged. The message names the file; the way out is to move data_dir away and to
  // start again: the node is then rebuilt from its peers.
  static Result<std::unique_ptr<Runtime>> open(RuntimeOptions options, Executor& executor, MonotonicClock& clock,
                                               WallClock& wall, Random& random, Disk& disk, SendBatch send,
                                               std::function<void(Error)> on_fatal);

  // From the transport, any thread.
  virtual void received(NodeId from, std::string batch) = 0;
  virtual void unreachable(NodeId node) = 0;
  // When a batch of each node came last. Any thread.
  virtual std::map<NodeId, Instant> last_heard() = 0;
  // Ends the turn under way and runs none afterwards. Waiting clients are told kUnknownOutcome.
  virtual void stop() = 0;
  virtual bool recovering() = 0;
  // It was started with the word that its state is wrong (EngineOptions::doubted).
  virtual bool doubted() const = 0;
  // What this node's batches carry.
  virtual const std::string& cluster_id() const = 0;
  virtual std::uint64_t start_id() const = 0;
};

}  // namespace evercert::store
