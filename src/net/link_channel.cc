// SPDX-License-Identifier: Apache-2.0
#include "net/link_channel.h"

#include <netinet/tcp.h>
#include <openssl/err.h>

#include "net/readiness.h"
#include "net/socket_bio.h"

namespace evercert::net {
namespace {

constexpr std::size_t kRecordBytes = 16 << 10;  // what one TLS record holds
constexpr int kReadsPerTurn = 32;               // then others of the thread have their turn
constexpr int kUserTimeoutMs = 15'000;          // a peer that takes in nothing for so long is gone

}  // namespace

void set_link_options(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One long connection: nothing to resume.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
}

LinkChannel::LinkChannel(LinkSocket socket, SSL_CTX* context, std::size_t max_frame_bytes)
    : context_(socket.get_executor().context()),
      socket_(std::move(socket)),
      ssl_(SSL_new(context)),
      reader_(max_frame_bytes) {}

LinkChannel::~LinkChannel() { SSL_free(ssl_); }

void LinkChannel::start(Side side) {
  boost::system::error_code error;
  socket_.non_blocking(true, error);
  socket_.set_option(tcp::no_delay(true), error);
  setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof kUserTimeoutMs);
  BIO* bio = make_socket_bio(socket_.native_handle());
  SSL_set_bio(ssl_, bio, bio);
  if (side == Side::kClient) {
    SSL_set_connect_state(ssl_);
  } else {
    SSL_set_accept_state(ssl_);
  }
  last_heard_ = Clock::now();
  drive();
}

void LinkChannel::wrote() {
  if (flush_posted_ || closed_ || driving_) return;  // drive() ends with a flush
  flush_posted_ = true;
  Readiness::at_end_of_turn(context_, [self = shared_from_this()] {
    self->flush_posted_ = false;
    if (self->ready_) self->flush();
  });
}

void LinkChannel::close(const std::string& why) {
  if (std::exchange(closed_, true)) return;
  // A word of good-bye where it can be sent at once; nobody waits for its answer.
  if (ready_) SSL_shutdown(ssl_);
  ERR_clear_error();
  boost::system::error_code ignored;
  socket_.close(ignored);
  closed(why);
}

void LinkChannel::pause_reading(bool paused) {
  const bool resumes = paused_ && !paused;
  paused_ = paused;
  if (resumes && !waits_read_)
    asio::post(context_, [self = shared_from_this()] {
      if (!self->closed_) self->drive();
    });
}

void LinkChannel::drive() {
  driving_ = true;
  if (ready_ || shake_hands()) {
    if (!closed_) read();
    if (!closed_) flush();
  }
  driving_ = false;
}

bool LinkChannel::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) {
    wait_for(result, "the TLS handshake failed");
    return false;
  }
  ready_ = true;
  if (ready()) return !closed_;
  close("the peer has no business here");
  return false;
}

void LinkChannel::read() {
  for (int i = 0; i < kReadsPerTurn && !paused_; ++i) {
    const auto space = reader_.space(kRecordBytes);
    std::size_t n = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_, space.data(), space.size(), &n);
    if (result != 1) {
      wait_for(result, "the other side has closed the connection");
      return;
    }
    last_heard_ = Clock::now();
    reader_.filled(n);
    for (;;) {
      const auto next = reader_.next();
      if (!next) return close(next.error().message);
      if (*next == nullptr) break;
      frame(**next);
      if (closed_) return;
    }
  }
  if (paused_) return;
  asio::post(context_, [self = shared_from_this()] {
    if (!self->closed_) self->drive();
  });
}

void LinkChannel::flush() {
  while (!closed_) {
    if (out_done_ == out_.size()) {
      out_.clear();
      out_done_ = 0;
      if (writer_.empty()) drained();
      if (closed_ || writer_.empty()) return;
      writer_.take(out_);
      leaving();
    }
    std::size_t n = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_, out_.data() + out_done_, out_.size() - out_done_, &n);
    if (result != 1) {
      wait_for(result, "the connection broke while sending");
      return;
    }
    out_done_ += n;
  }
}

void LinkChannel::wait_for(int result, const char* what) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: return wait_read();
    case SSL_ERROR_WANT_WRITE: return wait_write();
    default: break;
  }
  const unsigned long reason = ERR_peek_error();
  const char* text = reason == 0 ? nullptr : ERR_reason_error_string(reason);
  close(text == nullptr ? what : std::string(what) + ": " + text);
}

void LinkChannel::wait_read() {
  if (std::exchange(waits_read_, true)) return;
  socket_.async_wait(LinkSocket::wait_read, [self = shared_from_this()](boost::system::error_code) {
    self->waits_read_ = false;
    if (!self->closed_) self->drive();
  });
}

void LinkChannel::wait_write() {
  if (std::exchange(waits_write_, true)) return;
  socket_.async_wait(LinkSocket::wait_write, [self = shared_from_this()](boost::system::error_code) {
    self->waits_write_ = false;
    if (!self->closed_) self->drive();
  });
}

}  // namespace evercert::net
