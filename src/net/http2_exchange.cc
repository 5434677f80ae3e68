// SPDX-License-Identifier: Apache-2.0
#include "net/http2_exchange.h"

#include "base/log.h"
#include "net/http_connection.h"

namespace evercert::net {
namespace {

constexpr int kReadsAtATime = 16;
constexpr std::size_t kOutputBytes = 64 * 1024;
// Between "make no new requests" and "none after this one": what was sent before the first came is here by then.
constexpr Duration kRoundTrip = 500ms;

Http2Limits limits_of(const HttpServerOptions& options) {
  Http2Limits limits;
  limits.streams = options.max_streams;
  limits.body = options.max_body_bytes;
  limits.header = options.max_header_bytes;
  limits.bodies = std::max(limits.bodies, options.max_body_bytes);
  limits.request_time = options.header_timeout;
  limits.write_time = options.write_timeout;
  limits.least_rate = options.least_write_rate;
  limits.in_pieces = options.max_body_in_pieces;
  return limits;
}

}  // namespace

class Http2Exchange::Slot final : public Handling {
 public:
  Slot(Http2Exchange& exchange) : Handling(exchange.worker_, exchange.connection_), exchange_(exchange) {}
  std::int32_t stream = 0;

 private:
  void answered(HttpResponse&& response) override { exchange_.answered(*this, std::move(response)); }
  bool begun(HttpResponse&& header) override {
    ++exchange_.in_pieces_;
    if (!exchange_.session_.answer(stream, std::move(header))) return false;
    exchange_.moved();
    return true;
  }
  bool has_room() const override { return exchange_.session_.takes_piece(stream); }
  void piece(std::string&& bytes) override {
    exchange_.session_.add_piece(stream, std::move(bytes));
    exchange_.moved();
  }
  void over(bool whole) override { exchange_.over(*this, whole); }
  Http2Exchange& exchange_;
};

Http2Exchange::Http2Exchange(HttpConnection& connection, HttpWorker& worker)
    : connection_(connection),
      worker_(worker),
      session_(limits_of(worker.shared().options), worker.now(), &worker.thread().executor,
               [this] { connection_.serve_soon(); }),
      idle_until_(worker.now() + worker.shared().options.header_timeout) {
  if (worker.shared().draining) drain();
}

Http2Exchange::~Http2Exchange() = default;

void Http2Exchange::serve() {
  for (int reads = 0; send();) {
    if (session_.over()) {
      if (!session_.fault().empty()) {
        ++worker_.shared().counts.http2_faults;
        if (worker_.may_log())
          log_info("http/2: the connection of " + connection_.peer_ + " ends: " + session_.fault());
      }
      return connection_.finish();
    }
    if (in_pieces_ > 0 && feed()) continue;
    if (!connection_.stream_->may_read()) break;
    if (++reads > kReadsAtATime) {
      worker_.serve_later(connection_);
      break;
    }
    if (!receive()) break;
  }
  if (connection_.phase_ != HttpConnection::Phase::kOpen) return;
  const bool busy = session_.open() > 0 || running() > 0;
  connection_.set_busy(busy);
  if (!busy && !idle_) idle_until_ = worker_.now() + worker_.shared().options.idle_timeout;
  idle_ = !busy;
}

// False when the socket takes no more, or is gone.
bool Http2Exchange::send() {
  while (connection_.flush()) {
    session_.produce(connection_.out(), kOutputBytes, worker_.now());
    if (connection_.out().empty()) return true;
  }
  return false;
}

// False when nothing (more) came.
bool Http2Exchange::receive() {
  std::size_t count = 0;
  switch (connection_.stream_->read(worker_.input(), count)) {
    case Stream::Io::kDone: break;
    case Stream::Io::kBlocked: return false;
    case Stream::Io::kEnded:
      connection_.stream_->shut_down();
      connection_.gone();
      return false;
    case Stream::Io::kBroken: connection_.gone(); return false;
  }
  session_.receive({worker_.input().data(), count}, worker_.now());
  dispatch();
  return true;
}

void Http2Exchange::dispatch() {
  log_rejected();
  for (auto& arrived : session_.arrived()) {
    idle_ = false;
    if (free_.empty()) {
      if (slots_.size() >= worker_.shared().options.max_streams) {
        session_.refuse(arrived.stream);
        continue;
      }
      slots_.push_back(std::make_unique<Slot>(*this));
      free_.push_back(slots_.back().get());
    }
    Slot& slot = *free_.back();
    free_.pop_back();
    slot.stream = arrived.stream;
    connection_.set_busy(true);
    connection_.add_facts(arrived.request);
    slot.begin(std::move(arrived.request));
  }
}

void Http2Exchange::log_rejected() {
  for (const auto& one : session_.rejected())
    connection_.log_refusal(problem(one.status, {}, {}), one.method, one.path);
}

void Http2Exchange::answered(Slot& slot, HttpResponse&& response) {
  free_.push_back(&slot);
  if (connection_.phase_ == HttpConnection::Phase::kGone) {
    if (running() == 0) connection_.ended();
    return;
  }
  session_.answer(slot.stream, std::move(response));
  if (worker_.serving() == nullptr) worker_.resume(connection_);
}

// True: something is to be sent.
bool Http2Exchange::feed() {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = *slots_[i];
    if (!slot.running()) continue;
    if (!session_.has(slot.stream)) {
      slot.cut();
    } else if (slot.waits_for_room() && session_.takes_piece(slot.stream)) {
      slot.give_room();
    }
  }
  return session_.wants_write();
}

void Http2Exchange::moved() {
  if (worker_.serving() == nullptr && connection_.phase_ == HttpConnection::Phase::kOpen) worker_.resume(connection_);
}

void Http2Exchange::over(Slot& slot, bool whole) {
  --in_pieces_;
  free_.push_back(&slot);
  if (connection_.phase_ == HttpConnection::Phase::kGone) {
    if (running() == 0) connection_.ended();
    return;
  }
  session_.end_pieces(slot.stream, whole);
  moved();
}

void Http2Exchange::cut() {
  session_.leave();
  for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i]->cut();
}

void Http2Exchange::check_time() {
  const auto now = worker_.now();
  const bool blocked = connection_.unsent_ != nullptr;
  session_.check_time(now, blocked);
  log_rejected();
  if (idle_ && now >= idle_until_) session_.end();
  if (session_.announced() && now >= end_at_) session_.end();
  if (session_.wants_write() && !blocked) worker_.serve(connection_);
}

void Http2Exchange::drain() {
  if (session_.announced()) return;
  session_.announce_end();
  end_at_ = worker_.now() + kRoundTrip;
}

}  // namespace evercert::net
