// SPDX-License-Identifier: Apache-2.0
// An answer that is waited for until a deadline and no longer, whatever the one does who was asked to keep to it: a
// client of ours with a mistake, or a library's that waits for something else first, costs a request its time and not
// the place that it has.
#pragma once

#include <coroutine>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <unordered_map>

#include "base/env.h"
#include "base/task_scope.h"
#include "net/http.h"

namespace evercert::traffic {

// Deadlines are kept to within kSweep: one timer for all that wait on a thread, none for each.
class Cutoffs {
 public:
  static constexpr Duration kSweep = 50ms;
  using Answer = Result<net::HttpResponse>;
  class Waits;

  // What is given up goes on in `scope`, until it ends by itself or with the scope. Both outlive this.
  Cutoffs(MonotonicClock& clock, TaskScope& scope) : clock_(clock), scope_(scope) {}

  // Begins `asking` when it is awaited. Its answer; kUnknownOutcome when the deadline has passed, which may be moved
  // meanwhile. Any thread; the awaiter and `asking` live on that of `on`.
  Waits wait(Executor& on, Task<Answer> asking, std::shared_ptr<const Instant> deadline);
  Waits wait(Executor& on, Task<Answer> asking, Instant deadline);

 private:
  struct State : std::enable_shared_from_this<State> {
    Instant deadline;
    std::shared_ptr<const Instant> moving;  // instead
    std::coroutine_handle<> waiting;
    std::optional<Answer> answer;
    State *previous = nullptr, *next = nullptr;  // of those that wait on its thread
  };
  struct OfThread;
  OfThread& of_thread(Executor& on);

  MonotonicClock& clock_;
  TaskScope& scope_;
  std::shared_mutex mutex_;
  std::unordered_map<Executor*, std::shared_ptr<OfThread>> threads_;
};

class Cutoffs::Waits {
 public:
  Waits(Cutoffs& cutoffs, OfThread& thread, Task<Answer> asking, Instant deadline,
        std::shared_ptr<const Instant> moving);
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;
  ~Waits();
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle);
  Answer await_resume();

 private:
  Cutoffs& cutoffs_;
  OfThread& thread_;
  Task<Answer> asking_;
  std::shared_ptr<State> state_;
};

}  // namespace evercert::traffic
