// SPDX-License-Identifier: Apache-2.0
// Task<T>: a lazy coroutine without an opinion about threads. It runs where it is resumed; `suspend_on` brings it back
// to an Executor, so the same handler code runs on a server thread and in the simulator.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/env.h"

namespace evercert {

// What a task of any value has in common: who goes on when it ends, and what was thrown in it.
struct TaskPromise {
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
      const auto next = h.promise().continuation;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };

  std::coroutine_handle<> continuation;
  // Kept for the awaiter: errors are values here, but what a library throws must reach the edge, which answers 500.
  std::exception_ptr thrown;
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { thrown = std::current_exception(); }
};

template <class T>
struct TaskResult : TaskPromise {
  std::optional<T> value;
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
};
template <>
struct TaskResult<void> : TaskPromise {
  void return_void() noexcept {}
};

template <class T>
class [[nodiscard]] Task {
 public:
  struct promise_type : TaskResult<T> {
    Task get_return_object() { return Task{Handle::from_promise(*this)}; }
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle h) : handle_(h) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
    handle_.promise().continuation = caller;
    return handle_;
  }
  T await_resume() {
    if (handle_.promise().thrown) std::rethrow_exception(handle_.promise().thrown);
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().value);
  }

 private:
  Handle handle_;
};

// A coroutine that owns itself: the root of a chain of tasks.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

// Starts `task` at once on the calling thread and hands its value to `done` when it ends. Nobody owns it: if it never
// ends, it is never destroyed. Whoever may have to stop before it uses a TaskScope.
template <class T, class Done>
Detached spawn(Task<T> task, Done done) {
  if constexpr (std::is_void_v<T>) {
    co_await std::move(task);
    done();
  } else {
    done(co_await std::move(task));
  }
}
inline Detached spawn(Task<void> task) { co_await std::move(task); }

// SuspendOn<T, Start> op(executor, start); co_await op: calls start(resolve); resolve(T), from any thread, exactly
// once, resumes the coroutine on `executor` with that value. `resolve` may be called before start() returns, and after
// the coroutine was destroyed: then it does nothing, and the executor may be gone too. Give `start` and the operation
// names: g++ 12 copies closures that are temporaries of a co_await expression byte by byte into the coroutine's frame.
template <class T, class Start>
class SuspendOn {
 public:
  SuspendOn(Executor& executor, Start start) : start_(std::move(start)), state_(std::make_shared<State>(executor)) {}
  SuspendOn(const SuspendOn&) = delete;
  SuspendOn& operator=(const SuspendOn&) = delete;
  ~SuspendOn() {
    std::lock_guard lock(state_->mutex);
    state_->waiting = {};
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    // Moved out first: resolve() may resume and destroy this awaiter on another thread before start() returns.
    auto state = state_;
    state->waiting = h;
    Start start = std::move(start_);
    start([state = std::move(state)](T value) mutable {
      std::lock_guard lock(state->mutex);
      if (!state->waiting) return;
      state->value.emplace(std::move(value));
      // Between this and the turn of the executor the coroutine may be destroyed, on the executor's thread.
      state->executor.post([state] {
        if (state->waiting) state->waiting.resume();
      });
    });
  }
  T await_resume() { return std::move(*state_->value); }

 private:
  struct State {
    explicit State(Executor& on) : executor(on) {}
    std::mutex mutex;
    Executor& executor;
    std::coroutine_handle<> waiting;  // empty: not yet, or not any more
    std::optional<T> value;
  };

  Start start_;
  std::shared_ptr<State> state_;
};
template <class T, class Start>
SuspendOn<T, Start> suspend_on(Executor& executor, Start start) {
  return SuspendOn<T, Start>(executor, std::move(start));
}

}  // namespace evercert
