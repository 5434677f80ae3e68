// SPDX-License-Identifier: Apache-2.0
// The door of an edge (policy/door.h) for coroutines of several threads. Thread-safe.
#pragma once

#include <atomic>
#include <coroutine>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/env.h"
#include "traffic/edge/backends.h"
#include "traffic/policy/door.h"

namespace evercert::traffic {

class Entrance {
 public:
  Entrance(DoorOptions options, const Backends& backends, MonotonicClock& clock)
      : backends_(backends), clock_(clock), door_(options) {}

  struct Entered {
    bool in = false;
    Duration waited{0};
  };

  // co_await of it: whether the request may begin. Suspends only when it has to wait; goes on on `on`, on whose thread
  // it is destroyed too if it must be, or when that has ended. Whoever is in begins an attempt before anything else.
  class Entering {
   public:
    Entering(Entrance& entrance, Executor& on, Criticality of) : entrance_(entrance), on_(on), of_(of) {}
    Entering(const Entering&) = delete;
    Entering& operator=(const Entering&) = delete;
    ~Entering();
    bool await_ready();
    bool await_suspend(std::coroutine_handle<> handle);
    Entered await_resume();

   private:
    friend class Entrance;
    struct Waiter {
      Waiter(Executor& executor, Instant instant) : on(executor), since(instant) {}
      Executor& on;
      const Instant since;
      Entered result;
      std::coroutine_handle<> waiting;  // touched on `on` alone, but before it is in the table; empty: gone
    };
    Entrance& entrance_;
    Executor& on_;
    const Criticality of_;
    bool in_ = false;
    std::shared_ptr<Waiter> waiter_;
  };
  Entering enter(Executor& on, Criticality of) { return {*this, on, of}; }

  // Attempts have ended: whoever waits may have room now.
  void room() {
    if (waiting_.load(std::memory_order_relaxed) > 0) turn();
  }
  std::size_t waiting(Criticality of) const {
    std::lock_guard lock(mutex_);
    return door_.waiting(of);
  }

 private:
  using Waiter = Entering::Waiter;
  auto admits() const {
    return [this](Criticality of, double coming) { return backends_.admits(of, coming); };
  }
  void turn();
  void settle(const Door::Turn& turn, Instant now);  // under the mutex

  const Backends& backends_;
  MonotonicClock& clock_;
  mutable std::mutex mutex_;  // held while that of the backends is taken, never the other way round
  Door door_;
  std::unordered_map<Door::Ticket, std::shared_ptr<Waiter>> waiters_;
  std::atomic<std::size_t> waiting_{0}, coming_{0};  // as the door has them, for those who find nobody there
};

}  // namespace evercert::traffic
