// SPDX-License-Identifier: Apache-2.0
#include "net/http_connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "base/log.h"
#include "net/alpn_proofs.h"
#include "net/proxy_header.h"

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

HttpConnection::HttpConnection(HttpWorker& worker, int socket, SSL* tls, std::string peer, bool proxied)
    : worker_(worker),
      peer_(std::move(peer)),
      phase_(proxied ? Phase::kProxyHeader
             : tls   ? Phase::kHandshake
                     : Phase::kOpen),
      slot_(worker, *this) {
  stream_.emplace(socket, tls);
  deadline_ = worker.now() + worker.shared().options.header_timeout;
  ++worker_.shared().connections;
}

HttpConnection::~HttpConnection() {
  if (stream_) leave();
}

bool HttpConnection::enter() {
  const std::size_t most = worker_.shared().options.max_connections_per_client;
  if (most == 0) return true;
  std::string client = client_of(peer_);
  if (!worker_.shared().clients.enter(client, most)) {
    ++worker_.shared().counts.turned_away_by_client;
    return false;
  }
  client_ = std::move(client);
  return true;
}

void HttpConnection::leave() {
  --worker_.shared().connections;
  if (client_) worker_.shared().clients.leave(*client_);
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
  if (phase_ == Phase::kProxyHeader && !read_proxy_header()) return;
  if (phase_ == Phase::kHandshake && !shake_hands()) return;
  if (phase_ == Phase::kOpen) http2_ ? http2_->serve() : exchange();
  if (phase_ == Phase::kLingering) linger();
}

// It is looked at where it lies and taken out when it is whole, so that not a byte of what follows comes along.
bool HttpConnection::read_proxy_header() {
  std::array<char, kLongestProxyHeader> bytes;
  const ssize_t n = ::recv(stream_->socket(), bytes.data(), bytes.size(), MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  const auto header = n > 0 ? net::read_proxy_header({bytes.data(), static_cast<std::size_t>(n)}) : ProxyHeader();
  // What can only be cut short is wrong, too: more of it would have to fit beside what is there.
  const bool ended = header.state == ProxyHeader::State::kMore && stream_->ending();
  if (header.state == ProxyHeader::State::kMore && !ended) return false;
  const bool taken = header.state == ProxyHeader::State::kWhole &&
                     ::recv(stream_->socket(), bytes.data(), header.size, 0) == static_cast<ssize_t>(header.size);
  if (!taken) {
    if (n > 0) {
      ++worker_.shared().counts.wrong_proxy_headers;
      if (worker_.may_log()) log_info("http: " + peer_ + " is a proxy by its address and sent no PROXY header: closed");
    }
    gone();
    return false;
  }
  if (!header.source.empty()) peer_ = header.source;
  if (!enter()) {
    gone();
    return false;
  }
  phase_ = stream_->tls() ? Phase::kHandshake : Phase::kOpen;
  return true;
}

bool HttpConnection::shake_hands() {
  const auto io = stream_->handshake();
  if (io == Stream::Io::kBlocked) return false;
  HttpCounts& counts = worker_.shared().counts;
  if (io != Stream::Io::kDone) {
    ++counts.failed_handshakes;
    gone();
    return false;
  }
  // Who came for a proof has seen it by now.
  if (is_proof(stream_->ssl())) {
    stream_->shut_down();
    gone();
    return false;
  }
  ++(SSL_session_reused(stream_->ssl()) ? counts.resumed_handshakes : counts.full_handshakes);
  identity_ = peer_identity(stream_->ssl());
  phase_ = Phase::kOpen;
  if (agreed_on_http2(stream_->ssl())) {
    ++counts.http2_connections;
    http2_ = std::make_unique<Http2Exchange>(*this, worker_);
  }
  deadline_ = worker_.now() + worker_.shared().options.header_timeout;
  return true;
}

void HttpConnection::exchange() {
  input_ = kept_;
  for (int reads = 0; flush();) {
    if (slot_.waits_for_room()) {
      slot_.give_room();
      if (phase_ != Phase::kOpen) break;
      if (!out().empty()) continue;
    }
    if (uploading_) take_in();
    bool more = true;
    while (!slot_.running() && !uploading_ && !last_ && out().size() < kOutputBytes && (more = parse())) {
    }
    if (!flush()) break;
    if (slot_.running() && wants_input()) {
      if (wait_ != Wait::kUpload) uploaded_ = 0;
      wait_for(Wait::kUpload, worker_.shared().options.header_timeout);
      if (!stream_->may_read()) break;
      if (++reads > kReadsAtATime) {
        worker_.serve_later(*this);
        break;
      }
      if (!read()) break;
      continue;
    }
    if (slot_.running()) {
      wait_for(Wait::kHandler, Duration{0});
      if (slot_.in_pieces() && stream_->broken()) gone();
      break;
    }
    set_busy(false);
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
    refuse(parser_->refusal());
    return false;
  }
  if (parser_->comes_in_pieces() && worker_.shared().options.max_body_in_pieces > 0) {
    begin_upload();
    return true;
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
  add_facts(request);
  set_busy(true);
  wait_for(Wait::kHandler, Duration{0});
  slot_.begin(std::move(request));
}

// The handler begins; the parser stays until all of the body has come.
void HttpConnection::begin_upload() {
  form_ = {parser_->keep_alive(), parser_->http_1_0(), parser_->head()};
  if (!parser_->done() && parser_->expects_continue() && !std::exchange(continue_sent_, true))
    out().add("HTTP/1.1 100 Continue\r\n\r\n");
  const std::string body = parser_->take_body();
  HttpRequest request = parser_->take();
  add_facts(request);
  auto pipe = std::make_shared<BodyPipe>(*request.executor, [self = token()](std::size_t) {
    if (const auto alive = self.lock()) (*alive)->serve_soon();
  });
  pipe->add(body);
  upload_ = pipe;
  uploading_ = !parser_->done();
  if (!uploading_) {
    pipe->end();
    worker_.give_back(std::move(parser_));
  }
  request.source = std::move(pipe);
  set_busy(true);
  wait_for(Wait::kHandler, Duration{0});
  slot_.begin(std::move(request));
}

bool HttpConnection::wants_input() const {
  if (!uploading_) return false;
  const auto pipe = upload_.lock();
  return pipe && pipe->wanted() && pipe->waiting() < kMostOfAPiece;
}

void HttpConnection::take_in() {
  const auto pipe = upload_.lock();
  // Nobody reads it. The answer is given or comes; then the connection ends, since the rest is in the way.
  if (!pipe || !pipe->wanted()) return;
  input_.remove_prefix(parser_->feed(input_));
  const std::string body = parser_->take_body();
  uploaded_ += body.size();
  pipe->add(body);
  if (parser_->failed()) return pipe->break_off({Code::kInvalid, "the request's body is no HTTP/1.1"});
  if (!parser_->done()) return;
  pipe->end();
  worker_.give_back(std::move(parser_));
  uploading_ = false;
}

// The answer is given, and what is left of the request is in the way of the next one: the connection ends with it.
void HttpConnection::end_upload() {
  if (!std::exchange(uploading_, false)) return;
  if (const auto pipe = upload_.lock()) {
    pipe->break_off({Code::kUnavailable, "the answer was given"});
    pipe->leave();
  }
  parser_.reset();
  input_ = {};
  last_ = refused_ = true;
}

// Not within what calls it, which may be anything of this thread.
void HttpConnection::serve_soon() {
  if (std::exchange(soon_, true)) return;
  worker_.thread().executor.post([self = token()] {
    const auto alive = self.lock();
    if (!alive) return;
    (*alive)->soon_ = false;
    (*alive)->worker_.resume(**alive);
  });
}

void HttpConnection::add_facts(HttpRequest& request) const {
  request.peer_address = peer_;
  request.tls = stream_->tls();
  request.client_identity = identity_;
  request.executor = &worker_.thread().executor;
}

void HttpConnection::describe(AccessEntry& entry) const {
  entry.client = peer_;
  entry.identity = identity_;
  entry.protocol = http2_ ? "HTTP/2" : form_.http_1_0 ? "HTTP/1.0" : "HTTP/1.1";
  if (!stream_ || !stream_->tls()) return;
  entry.tls = SSL_get_version(stream_->ssl());
  entry.resumed = SSL_session_reused(stream_->ssl()) == 1;
}

// No handler saw it.
void HttpConnection::log_refusal(const HttpResponse& why, std::string_view method, std::string_view path) const {
  if (!worker_.shared().access_log) return;
  AccessEntry entry;
  describe(entry);
  entry.method = method;
  entry.path = path;
  entry.status = why.status;
  entry.bytes = why.bytes().size();
  worker_.shared().access_log->add(entry);
}

void HttpConnection::set_busy(bool busy) {
  if (busy_ != busy) worker_.count_busy(busy_ = busy);
}

void HttpConnection::answered(HttpResponse&& response) {
  if (phase_ == Phase::kGone) return ended();
  end_upload();
  last_ = last_ || !form_.keep_alive || worker_.shared().draining;
  form_.keep_alive = !last_;
  write_answer(out(), std::move(response), form_, stream_->tls() ? kCopiedBelowTls : kCopiedBelow);
  if (worker_.serving() == nullptr) worker_.resume(*this);
}

// An answer in pieces. A client of HTTP/1.0 that was not told a length learns the end from that of the connection.
bool HttpConnection::begun(HttpResponse&& header) {
  if (phase_ == Phase::kGone) return false;
  chunked_ = !header.length && !form_.http_1_0;
  last_ = !form_.keep_alive || worker_.shared().draining || (!header.length && form_.http_1_0) || uploading_;
  form_.keep_alive = !last_;
  const bool body = write_header(out(), header, form_);
  chunked_ = chunked_ && body;
  if (worker_.serving() == nullptr) worker_.resume(*this);
  return body && phase_ != Phase::kGone;
}

bool HttpConnection::has_room() const { return !unsent_ && worker_.output().size() < kOutputBytes; }

void HttpConnection::piece(std::string&& bytes) {
  write_piece(out(), std::move(bytes), chunked_, stream_->tls() ? kCopiedBelowTls : kCopiedBelow);
  if (worker_.serving() == nullptr) worker_.resume(*this);
}

void HttpConnection::over(bool whole) {
  if (phase_ == Phase::kGone) return ended();
  end_upload();
  if (!whole) {
    break_off();
  } else if (chunked_) {
    out().add("0\r\n\r\n");
  }
  if (phase_ != Phase::kGone && worker_.serving() == nullptr) worker_.resume(*this);
}

// What came of the answer is not the whole, and must not pass for it: a reset, and no goodbye from TLS.
void HttpConnection::break_off() {
  out().clear();
  const struct ::linger at_once { 1, 0 };
  ::setsockopt(stream_->socket(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  gone();
}

// A request that could not be read: says why.
void HttpConnection::refuse(const HttpResponse& why) {
  log_refusal(why, {}, {});
  write_answer(out(), why, {.keep_alive = false, .http_1_0 = false, .head = false}, kCopiedBelow);
  parser_.reset();
  last_ = refused_ = true;
}

// False when the rest must wait, or the connection is gone.
bool HttpConnection::flush() {
  Outbox& box = out();
  if (box.empty()) return true;
  switch (stream_->write(box)) {
    case Stream::Io::kDone:
      unsent_.reset();
      if (wait_ == Wait::kWrite) wait_ = Wait::kHandler;  // until it is known what comes next
      return true;
    case Stream::Io::kBlocked:
      if (!unsent_) unsent_ = std::make_unique<Outbox>(std::exchange(worker_.output(), Outbox()));
      if (wait_ != Wait::kWrite) period_size_ = not_taken();
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
  leave();
  if (const auto pipe = upload_.lock()) {
    pipe->leave();
    pipe->break_off({Code::kUnavailable, "the client is gone"});
  }
  slot_.cut();
  if (http2_) http2_->cut();
  if (!handling()) ended();
}

void HttpConnection::ended() {
  if (std::exchange(ended_, true)) return;
  set_busy(false);
  worker_.finished(*this);
}

void HttpConnection::check_time() {
  if (!stream_) return;
  if (phase_ == Phase::kOpen && http2_) {
    http2_->check_time();
    if (!stream_ || unsent_ == nullptr || wait_ != Wait::kWrite) return;
  }
  if (wait_ == Wait::kHandler || worker_.now() < deadline_) return;
  if (wait_ == Wait::kWrite && reads_fast_enough()) return;
  if (wait_ == Wait::kUpload) return check_upload();
  if (wait_ == Wait::kRequest && parser_ && phase_ == Phase::kOpen) {
    refuse(problem(408, reason_phrase(408), "the request did not arrive in time"));
    return worker_.serve(*this);
  }
  if (wait_ == Wait::kIdle) stream_->shut_down();
  gone();
}

// Who sends a large body slowly may do so; who sends hardly anything may not. The handler learns it, and answers.
void HttpConnection::check_upload() {
  const HttpServerOptions& options = worker_.shared().options;
  const auto period = std::chrono::duration_cast<std::chrono::milliseconds>(options.header_timeout);
  const bool fast = uploaded_ * 1000 >= options.least_write_rate * static_cast<std::size_t>(period.count());
  if (const auto pipe = upload_.lock(); pipe && !fast)
    pipe->break_off({Code::kExpired, "the request did not arrive in time"});
  uploaded_ = 0;
  deadline_ = worker_.now() + options.header_timeout;
}

// Of what was to be sent, here and in the kernel, which says that it has room again only when it has much.
std::size_t HttpConnection::not_taken() const {
  int in_kernel = 0;
  ::ioctl(stream_->socket(), SIOCOUTQ, &in_kernel);
  return (unsent_ ? unsent_->size() : 0) + static_cast<std::size_t>(in_kernel);
}

// Who takes a large answer slowly may have it; who takes hardly anything may not.
bool HttpConnection::reads_fast_enough() {
  const HttpServerOptions& options = worker_.shared().options;
  const std::size_t left = not_taken(), taken = period_size_ - std::min(period_size_, left);
  const auto period = std::chrono::duration_cast<std::chrono::milliseconds>(options.write_timeout);
  if (taken * 1000 < options.least_write_rate * static_cast<std::size_t>(period.count())) return false;
  period_size_ = left;
  deadline_ = worker_.now() + options.write_timeout;
  return true;
}

void HttpConnection::drain() {
  if (!stream_ || phase_ != Phase::kOpen) return;
  if (http2_) {
    http2_->drain();
    if (unsent_ == nullptr) worker_.serve(*this);
  } else if (wait_ == Wait::kIdle || (wait_ == Wait::kRequest && !parser_)) {
    deadline_ = std::min(deadline_, worker_.now() + worker_.shared().options.drain_idle);
  }
}

}  // namespace evercert::net
