// SPDX-License-Identifier: Apache-2.0
#include "net/http_connection.h"

#include "base/log.h"

namespace evercert::net {
namespace {

// A client that sends without a pause has the thread for itself this long.
constexpr int kReadsAtATime = 16;
// Pipelined answers gather to so much before they are sent.
constexpr std::size_t kOutputBytes = 64 * 1024;
// Beside a copy of so little, a second piece in the system call costs more.
constexpr std::size_t kCopiedBelow = 4 * 1024;
// A TLS record holds so much: header and body should be in one.
constexpr std::size_t kCopiedBelowTls = 15 * 1024;
constexpr std::size_t kLingerBytes = 8 << 20;
constexpr Duration kLingerTime = 2s;

}  // namespace

// The coroutine around a handler's task. Its frame is the same size each time, so one that has ended serves the next.
struct HttpConnection::Handling {
  struct promise_type {
    Handling get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
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
thread_local HttpConnection::Handling::Spare HttpConnection::Handling::spare;

// Handlers come back on the connection's thread. One that does not, or that another connection's handler resumed, waits
// until the thread is at nobody else's service.
struct HttpConnection::BackOnThread {
  HttpConnection& self;
  bool await_ready() const {
    HttpWorker& worker = self.worker_;
    return worker.thread().runs_here() && (worker.serving() == nullptr || worker.serving() == &self);
  }
  void await_suspend(std::coroutine_handle<> handle) {
    self.worker_.thread().executor.post([handle] { handle.resume(); });
  }
  void await_resume() const {}
};

HttpConnection::HttpConnection(HttpWorker& worker, int socket, SSL_CTX* tls, std::string peer)
    : worker_(worker), peer_(std::move(peer)), phase_(tls ? Phase::kHandshake : Phase::kOpen) {
  stream_.emplace(socket, tls);
  deadline_ = worker.now() + worker.shared().options.header_timeout;
  ++worker_.shared().connections;
}

HttpConnection::~HttpConnection() {
  if (handling_ && handler_) handler_.destroy();
  if (stream_) --worker_.shared().connections;
}

void HttpConnection::wait_for(Wait what, Duration limit) {
  if (wait_ == what) return;
  wait_ = what;
  deadline_ = worker_.now() + limit;
}

void HttpConnection::ready(std::uint32_t events) {
  if (!stream_) return;
  stream_->ready(events);
  worker_.serve(*this);
}

void HttpConnection::serve() {
  if (phase_ == Phase::kHandshake && !shake_hands()) return;
  if (phase_ == Phase::kOpen) exchange();
  if (phase_ == Phase::kLingering) linger();
}

bool HttpConnection::shake_hands() {
  const auto io = stream_->handshake();
  if (io == Stream::Io::kBlocked) return false;
  if (io != Stream::Io::kDone) {
    gone();
    return false;
  }
  identity_ = peer_identity(stream_->ssl());
  phase_ = Phase::kOpen;
  deadline_ = worker_.now() + worker_.shared().options.header_timeout;
  return true;
}

void HttpConnection::exchange() {
  input_ = kept_;
  for (int reads = 0; flush();) {
    bool more = true;
    while (!handling_ && !last_ && out().size() < kOutputBytes && (more = parse())) {
    }
    if (!flush()) break;
    if (handling_) {
      wait_for(Wait::kHandler, Duration{0});
      break;
    }
    if (busy_) worker_.count_busy(busy_ = false);
    if (last_) {
      finish();
      break;
    }
    if (more) continue;  // so many answers gathered that they were sent first
    if (parser_) {
      wait_for(Wait::kRequest, worker_.shared().options.header_timeout);
    } else if (wait_ != Wait::kRequest) {  // else: the first request is still awaited
      wait_for(Wait::kIdle, worker_.shared().options.idle_timeout);
    }
    if (!stream_->may_read()) break;
    if (++reads > kReadsAtATime) {
      worker_.serve_later(*this);
      break;
    }
    if (!read()) break;
  }
  keep_rest();
}

// Takes in input to the end of a request at most. False when there is nothing (more) to be made of it.
bool HttpConnection::parse() {
  if (input_.empty()) return false;
  if (!parser_) {
    parser_ = worker_.take_parser();
    continue_sent_ = false;
    wait_for(Wait::kRequest, worker_.shared().options.header_timeout);
  }
  input_.remove_prefix(parser_->feed(input_));
  if (parser_->failed()) {
    refuse();
    return false;
  }
  if (parser_->done()) {
    dispatch();
    return true;
  }
  if (parser_->header_done() && parser_->expects_continue() && !std::exchange(continue_sent_, true))
    out().add("HTTP/1.1 100 Continue\r\n\r\n");
  return false;
}

void HttpConnection::dispatch() {
  form_ = {parser_->keep_alive(), parser_->http_1_0(), parser_->head()};
  HttpRequest request = parser_->take();
  worker_.give_back(std::move(parser_));
  request.peer_address = peer_;
  request.tls = stream_->tls();
  request.client_identity = identity_;
  request.executor = &worker_.thread().executor;
  if (!busy_) worker_.count_busy(busy_ = true);
  wait_for(Wait::kHandler, Duration{0});
  handling_ = true;
  const Handling running = run(*this, request);
  if (handling_) handler_ = running.handle;
}

// `request` is moved on before the first suspension.
HttpConnection::Handling HttpConnection::run(HttpConnection& self, HttpRequest& request) {
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
  self.answered(std::move(response));
}

void HttpConnection::answered(HttpResponse&& response) {
  handling_ = false;
  handler_ = {};
  if (phase_ == Phase::kGone) {
    worker_.count_busy(busy_ = false);
    worker_.finished(*this);
    return;
  }
  last_ = !form_.keep_alive || worker_.shared().draining;
  form_.keep_alive = !last_;
  write_answer(out(), std::move(response), form_, stream_->tls() ? kCopiedBelowTls : kCopiedBelow);
  if (worker_.serving() == nullptr) worker_.resume(*this);
}

// A request that could not be read: says why.
void HttpConnection::refuse() {
  write_answer(out(), parser_->refusal(), {.keep_alive = false, .http_1_0 = false, .head = false}, kCopiedBelow);
  parser_.reset();
  last_ = refused_ = true;
}

// False when the rest must wait, or the connection is gone.
bool HttpConnection::flush() {
  Outbox& box = out();
  if (box.empty()) return true;
  switch (stream_->write(box)) {
    case Stream::Io::kDone: unsent_.reset(); return true;
    case Stream::Io::kBlocked:
      if (!unsent_) unsent_ = std::make_unique<Outbox>(std::exchange(worker_.output(), Outbox()));
      wait_for(Wait::kWrite, worker_.shared().options.write_timeout);
      return false;
    default:
      box.clear();
      gone();
      return false;
  }
}

bool HttpConnection::read() {
  keep_rest();  // it may lie where more is read to
  std::size_t count = 0;
  switch (stream_->read(worker_.input(), count)) {
    case Stream::Io::kDone: break;
    case Stream::Io::kBlocked: return false;
    case Stream::Io::kEnded:
      stream_->shut_down();
      gone();
      return false;
    case Stream::Io::kBroken: gone(); return false;
  }
  input_ = {worker_.input().data(), count};
  if (!kept_.empty()) {
    kept_.append(input_);
    input_ = kept_;
  }
  return true;
}

void HttpConnection::keep_rest() {
  if (input_.empty()) {
    if (kept_.capacity() > std::string().capacity()) kept_ = std::string();
    kept_.clear();
  } else if (input_.data() >= kept_.data() && input_.data() <= kept_.data() + kept_.size()) {
    kept_.erase(0, kept_.size() - input_.size());
  } else {
    kept_.assign(input_);
  }
  input_ = kept_;
}

// All is said. Closing a socket with bytes that nobody read cuts off what was sent last: they are read first.
void HttpConnection::finish() {
  stream_->shut_down();
  if (!refused_ && input_.empty() && !stream_->may_read()) return gone();
  phase_ = Phase::kLingering;
  input_ = {};
  wait_for(Wait::kLinger, kLingerTime);
}

void HttpConnection::linger() {
  for (int reads = 0; stream_->may_read(); ++reads) {
    if (reads == kReadsAtATime) return worker_.serve_later(*this);
    std::size_t count = 0;
    const auto io = stream_->read(worker_.input(), count);
    if (io == Stream::Io::kBlocked) return;
    lingered_ += count;
    if (io != Stream::Io::kDone || lingered_ > kLingerBytes) return gone();
  }
}

// The socket is closed; the connection itself ends when its handler has.
void HttpConnection::gone() {
  phase_ = Phase::kGone;
  input_ = {};
  kept_ = std::string();
  parser_.reset();
  unsent_.reset();
  stream_.reset();
  --worker_.shared().connections;
  if (handling_) return;
  if (busy_) worker_.count_busy(busy_ = false);
  worker_.finished(*this);
}

void HttpConnection::check_time() {
  if (!stream_ || wait_ == Wait::kHandler || worker_.now() < deadline_) return;
  if (wait_ == Wait::kIdle) stream_->shut_down();
  gone();
}

}  // namespace evercert::net
