// SPDX-License-Identifier: Apache-2.0
// TaskScope: who owns a coroutine that nobody awaits. Started: work that goes on beside what its maker does.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/task.h"

namespace evercert {

// Owns tasks at the root of their chains. One that ends leaves by itself; one that is still suspended is destroyed with
// the scope, and with it all that it holds. Tasks may be started from any thread.
class TaskScope {
 public:
  TaskScope() = default;
  // As cancel().
  ~TaskScope() { cancel(); }
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  // Starts `task` at once on the calling thread and hands its value to `done` when it ends.
  template <class T, class Done>
  void spawn(Task<T> task, Done done) {
    run(*this, std::move(task), std::move(done));
  }
  void spawn(Task<void> task) {
    run(*this, std::move(task), [] {});
  }

  // Tasks that have not ended.
  std::size_t running() const {
    std::lock_guard lock(mutex_);
    return running_;
  }

  // Destroys what is suspended. Nothing may resume one of the tasks meanwhile: call it on the thread of their executor,
  // or after that has ended, and not from one of the tasks.
  void cancel() {
    for (;;) {
      std::coroutine_handle<> suspended;
      {
        std::lock_guard lock(mutex_);
        if (first_ == nullptr) return;
        suspended = first_->self;
      }
      suspended.destroy();
    }
  }

 private:
  struct Root {
    struct promise_type {
      template <class... Rest>
      explicit promise_type(TaskScope& of, Rest&...)
          : scope(of), self(std::coroutine_handle<promise_type>::from_promise(*this)) {
        std::lock_guard lock(scope.mutex_);
        ++scope.running_;
        next = scope.first_;
        if (next != nullptr) next->previous = this;
        scope.first_ = this;
      }
      ~promise_type() {
        std::lock_guard lock(scope.mutex_);
        --scope.running_;
        if (next != nullptr) next->previous = previous;
        (previous != nullptr ? previous->next : scope.first_) = next;
      }
      promise_type(const promise_type&) = delete;
      promise_type& operator=(const promise_type&) = delete;
      Root get_return_object() { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      void unhandled_exception() noexcept { std::terminate(); }

      TaskScope& scope;
      std::coroutine_handle<> self;
      promise_type* next = nullptr;
      promise_type* previous = nullptr;
    };
  };

  template <class T, class Done>
  static Root run(TaskScope&, Task<T> task, Done done) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
      done();
    } else {
      done(co_await std::move(task));
    }
  }

  mutable std::mutex mutex_;
  Root::promise_type* first_ = nullptr;
  std::size_t running_ = 0;
};

// Started<T> work(scope, task): begins at once, so that what follows runs beside it; co_await work gives its value.
// Both ends on one thread (one Executor). A Started that is not awaited, or whose awaiter is destroyed, lets the task
// come to its end alone, or to that of its scope.
template <class T>
class Started {
 public:
  Started(TaskScope& scope, Task<T> task) : state_(std::make_shared<State>()) {
    scope.spawn(std::move(task), [state = state_](T value) {
      state->value.emplace(std::move(value));
      if (state->waiting) std::exchange(state->waiting, {}).resume();
    });
  }
  Started(const Started& other) : state_(other.state_) {}
  Started& operator=(const Started&) = delete;
  ~Started() {
    if (waiting_) state_->waiting = {};
  }
  bool done() const noexcept { return state_->value.has_value(); }
  bool await_ready() const noexcept { return done(); }
  void await_suspend(std::coroutine_handle<> h) noexcept {
    waiting_ = true;
    state_->waiting = h;
  }
  T await_resume() {
    waiting_ = false;
    return std::move(*state_->value);
  }

 private:
  struct State {
    std::optional<T> value;
    std::coroutine_handle<> waiting;
  };
  std::shared_ptr<State> state_;
  bool waiting_ = false;
};

}  // namespace evercert
