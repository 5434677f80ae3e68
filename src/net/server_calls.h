// SPDX-License-Identifier: Apache-2.0
// The calls that a gRPC server answers or listens for, so that a server that ends can tell every caller and wait for
// the last of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <set>

#include "base/env.h"

namespace evercert::net {

class ServerCalls;

// One call, from the wait for its caller to its end. Made on any thread; everything else is on the queue's.
class ServerCall {
 public:
  explicit ServerCall(ServerCalls& all);
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;
  virtual ~ServerCall();

  // The server ends: what the call waits for is given up, and its caller is told that this server is unavailable.
  // Nothing when there is no caller yet, or the answer is on its way.
  virtual void give_up() = 0;
  // It waits for what others do, perhaps for ever: no drain waits for it.
  virtual bool waits() const = 0;

 protected:
  void begun();  // there is a caller

 private:
  ServerCalls& all_;
  bool begun_ = false;
};

// Any thread but the queue's, except where said.
class ServerCalls {
 public:
  explicit ServerCalls(Executor& queue) : queue_(queue) {}

  // From now on new calls are to be refused, and those that wait for what others do give up.
  void close();
  bool closed() const { return closed_; }  // any thread
  // All give up.
  void give_up();
  // Until no call with a caller is left; false when some are after `patience`.
  bool wait_answered(Duration patience);
  // The same of all, also of those that listen: they go when the server has shut down.
  bool wait_gone(Duration patience);
  std::size_t size() const;  // any thread

 private:
  friend class ServerCall;
  void end_each(bool only_waiting);

  Executor& queue_;
  mutable std::mutex mutex_;
  std::condition_variable fewer_;
  std::set<ServerCall*> all_;
  std::size_t begun_ = 0;
  std::atomic<bool> closed_{false};
};

}  // namespace evercert::net
