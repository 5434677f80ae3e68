// SPDX-License-Identifier: Apache-2.0
#include "net/http_handling.h"

#include "base/log.h"
#include "net/body.h"
#include "net/http_connection.h"
#include "net/http_range.h"

namespace evercert::net {
namespace {

constexpr std::size_t kMostOfAnId = 128;
// Then others of the thread have their turn, however fast one reads and whatever is at hand for it.
constexpr int kPiecesAtATime = 8;

std::uint64_t size_of(const HttpResponse& response) {
  return response.prepared ? response.prepared->size() - response.prepared->find("\r\n\r\n") - 4
                           : response.bytes().size();
}

}  // namespace

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
  cut_ = false;
  range_.clear();
  if (const auto range = request.headers.find("Range"); range && request.method == "GET") {
    range_ = *range;
    if_range_ = request.headers.get("If-Range");
  }
  if (worker_.shared().access_log) {
    method_ = request.method;
    path_ = request.path;
    request_id_ = request.headers.get("X-Request-Id").substr(0, kMostOfAnId);
    begun_ = worker_.now();
  }
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
  if (response.source != nullptr) {
    self.in_pieces_ = true;
    bool whole = false;
    try {
      whole = co_await self.give_pieces(response);
    } catch (const std::exception& e) {
      log_error(std::string("an answer's body threw: ") + e.what());
    }
    self.source_ = nullptr;
    self.running_ = self.in_pieces_ = false;
    self.handler_ = {};
    self.over(whole);
    co_return;
  }
  if (!self.range_.empty()) take_range(response, self.range_, self.if_range_);
  if (self.worker_.shared().access_log) self.log(response, size_of(response));
  self.running_ = false;
  self.handler_ = {};
  self.answered(std::move(response));
}

// Until there is room, or nobody to have it.
struct Handling::Room {
  Handling& self;
  int& given;
  bool await_ready() const { return self.cut_ || (given < kPiecesAtATime && self.has_room()); }
  void await_suspend(std::coroutine_handle<> handle) {
    if (!self.has_room()) {
      self.room_ = handle;
      return;
    }
    given = 0;
    self.worker_.thread().executor.post([handle] { handle.resume(); });
  }
  void await_resume() const {}
};

Task<bool> Handling::give_pieces(HttpResponse& response) {
  const std::shared_ptr<BodySource> source = response.source;
  std::optional<std::uint64_t> left = response.length;
  HttpResponse header;
  if (worker_.shared().access_log) {
    header.status = response.status;
    header.headers = response.headers;
  }
  std::uint64_t bytes = 0;
  bool whole = false;
  if (cut_ || !begun(std::move(response))) whole = cut_ = true;
  for (int given = 0; !cut_; ++given) {
    Room room{*this, given};
    do {
      co_await room;
    } while (!cut_ && (!has_room() || given >= kPiecesAtATime));
    if (cut_) break;
    source_ = source.get();
    auto asking = source->next(worker_.thread().executor);
    auto next = co_await std::move(asking);
    source_ = nullptr;
    BackOnThread back{*this};
    co_await back;
    if (cut_) break;
    if (!next) {
      if (worker_.may_log()) log_info("http: an answer breaks off: " + next.error().message);
      break;
    }
    if (left && next->size() > *left) break;
    if (left) *left -= next->size();
    if (next->empty()) {
      whole = left.value_or(0) == 0;
      break;
    }
    bytes += next->size();
    piece(std::move(*next));
  }
  if (worker_.shared().access_log) log(header, bytes);
  co_return whole;
}

void Handling::cut() {
  if (!running_ || std::exchange(cut_, true)) return;
  if (source_ != nullptr) source_->give_up();
  give_room();
}

void Handling::log(const HttpResponse& response, std::uint64_t bytes) {
  AccessEntry entry;
  connection_.describe(entry);
  entry.method = method_;
  entry.path = path_;
  entry.status = response.status;
  if (method_ != "HEAD") entry.bytes = bytes;
  entry.duration = std::chrono::duration_cast<Duration>(HttpWorker::Clock::now() - begun_);
  entry.region = response.headers.find("Evercert-Region").value_or("");
  entry.upstream = response.headers.find("Evercert-Upstream").value_or("");
  entry.request_id = request_id_.empty() ? response.headers.find("X-Request-Id").value_or("") : request_id_;
  worker_.shared().access_log->add(entry);
}

}  // namespace evercert::net
