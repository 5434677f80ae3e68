// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/cutoffs.h"

#include <mutex>
#include <utility>
#include <vector>

namespace evercert::traffic {

// Those that wait on one thread, in no order. The timer keeps it.
struct Cutoffs::OfThread : std::enable_shared_from_this<OfThread> {
  OfThread(Executor& executor, MonotonicClock& time) : on(executor), clock(time) {}

  void add(State& state) {
    state.next = first;
    if (first != nullptr) first->previous = &state;
    first = &state;
    if (!std::exchange(sweeping, true)) arm();
  }
  void remove(State& state) {
    (state.previous != nullptr ? state.previous->next : first) = state.next;
    if (state.next != nullptr) state.next->previous = state.previous;
    state.previous = state.next = nullptr;
  }
  void give(State& state, Answer answer) {
    state.answer.emplace(std::move(answer));
    if (!state.waiting) return;
    remove(state);
    std::exchange(state.waiting, {}).resume();
  }
  void arm() {
    on.post_after(kSweep, [self = shared_from_this()] { self->sweep(); });
  }
  void sweep() {
    const Instant now = clock.now();
    std::vector<std::shared_ptr<State>> late;
    for (State* state = first; state != nullptr; state = state->next) {
      if ((state->moving ? *state->moving : state->deadline) <= now) late.push_back(state->shared_from_this());
    }
    for (const auto& state : late) {
      // Who went on before it may have ended it.
      if (state->waiting) give(*state, fail(Code::kUnknownOutcome, "no answer in time"));
    }
    sweeping = first != nullptr;
    if (sweeping) arm();
  }

  Executor& on;
  MonotonicClock& clock;
  State* first = nullptr;
  bool sweeping = false;
};

Cutoffs::OfThread& Cutoffs::of_thread(Executor& on) {
  {
    std::shared_lock lock(mutex_);
    const auto found = threads_.find(&on);
    if (found != threads_.end()) return *found->second;
  }
  std::unique_lock lock(mutex_);
  auto& made = threads_[&on];
  if (made == nullptr) made = std::make_shared<OfThread>(on, clock_);
  return *made;
}

Cutoffs::Waits Cutoffs::wait(Executor& on, Task<Answer> asking, Instant deadline) {
  return {*this, of_thread(on), std::move(asking), deadline, nullptr};
}

Cutoffs::Waits Cutoffs::wait(Executor& on, Task<Answer> asking, std::shared_ptr<const Instant> deadline) {
  return {*this, of_thread(on), std::move(asking), {}, std::move(deadline)};
}

Cutoffs::Waits::Waits(Cutoffs& cutoffs, OfThread& thread, Task<Answer> asking, Instant deadline,
                      std::shared_ptr<const Instant> moving)
    : cutoffs_(cutoffs), thread_(thread), asking_(std::move(asking)), state_(std::make_shared<State>()) {
  state_->deadline = deadline;
  state_->moving = std::move(moving);
}

Cutoffs::Waits::~Waits() {
  if (std::exchange(state_->waiting, {})) thread_.remove(*state_);
}

bool Cutoffs::Waits::await_suspend(std::coroutine_handle<> handle) {
  // By its own name: who goes on may destroy this.
  auto state = state_;
  cutoffs_.scope_.spawn(std::move(asking_), [state, &thread = thread_](Answer answer) {
    if (!state->answer) thread.give(*state, std::move(answer));  // else: too late
  });
  if (state->answer) return false;
  state->waiting = handle;
  thread_.add(*state);
  return true;
}

Cutoffs::Answer Cutoffs::Waits::await_resume() { return std::move(*state_->answer); }

}  // namespace evercert::traffic
