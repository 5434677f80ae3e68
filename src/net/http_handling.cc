// SPDX-License-Identifier: Apache-2.0
#include "net/http_handling.h"

#include "base/log.h"

namespace evercert::net {

// The coroutine around a handler's task. Its frame is the same size each time, so one that has ended serves the next.
struct Handling::Coroutine {
  struct promise_type {
    Coroutine get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
    static void* operator new(std::size_t size) {
      if (spare.size == size) {
        spare.size = 0;
        return std::exchange(spare.frame, nullptr);
      }
      return ::operator new(size);
    }
    static void operator delete(void* frame, std::size_t size) {
      if (spare.frame) return ::operator delete(frame);
      spare.frame = frame;
      spare.size = size;
    }
  };
  struct Spare {
    void* frame = nullptr;
    std::size_t size = 0;
    ~Spare() { ::operator delete(frame); }
  };
  static thread_local Spare spare;

  std::coroutine_handle<> handle;
};
thread_local Handling::Coroutine::Spare Handling::Coroutine::spare;

// Handlers come back on the connection's thread. One that does not, or that another connection's handler resumed, waits
// until the thread is at nobody else's service.
struct Handling::BackOnThread {
  Handling& self;
  bool await_ready() const {
    HttpWorker& worker = self.worker_;
    return worker.thread().runs_here() && (worker.serving() == nullptr || worker.serving() == &self.connection_);
  }
  void await_suspend(std::coroutine_handle<> handle) {
    self.worker_.thread().executor.post([handle] { handle.resume(); });
  }
  void await_resume() const {}
};

Handling::~Handling() {
  if (running_ && handler_) handler_.destroy();
}

void Handling::begin(HttpRequest&& request) {
  running_ = true;
  const Coroutine started = run(*this, request);
  if (running_) handler_ = started.handle;
}

// `request` is moved on before the first suspension.
Handling::Coroutine Handling::run(Handling& self, HttpRequest& request) {
  HttpResponse response;
  try {
    Task<HttpResponse> task = self.worker_.shared().handler(std::move(request));
    response = co_await std::move(task);
  } catch (const std::exception& e) {
    log_error(std::string("a request's handler threw: ") + e.what());
    response = problem(500, reason_phrase(500), "the request could not be handled; the log has the reason");
  }
  BackOnThread back{self};
  co_await back;
  self.running_ = false;
  self.handler_ = {};
  self.answered(std::move(response));
}

}  // namespace evercert::net
