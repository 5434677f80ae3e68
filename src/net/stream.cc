// SPDX-License-Identifier: Apache-2.0
#include "net/stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/check.h"

namespace evercert::net {

// OpenSSL's own socket BIO asks the kernel each time; this one goes through the stream, which knows when that is in
// vain.
struct SocketBio {
  static BIO* make(Stream& stream) {
    BIO* bio = BIO_new(method());
    EC_CHECK(bio != nullptr, "memory for a connection");
    BIO_set_data(bio, &stream);
    BIO_set_init(bio, 1);
    return bio;
  }
  static int read(BIO* bio, char* into, int size) {
    BIO_clear_retry_flags(bio);
    const auto n = static_cast<Stream*>(BIO_get_data(bio))->receive(into, static_cast<std::size_t>(size));
    if (n < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
    return static_cast<int>(n);
  }
  static int write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    const auto n = static_cast<Stream*>(BIO_get_data(bio))->transmit(bytes, static_cast<std::size_t>(size));
    if (n < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
    return static_cast<int>(n);
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
  static const BIO_METHOD* method() {
    static const BIO_METHOD* const made = [] {
      BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "evercert socket");
      EC_CHECK(fresh != nullptr, "memory for the description of a socket");
      BIO_meth_set_read(fresh, read);
      BIO_meth_set_write(fresh, write);
      BIO_meth_set_ctrl(fresh, control);
      return fresh;
    }();
    return made;
  }
};

Stream::Stream(int socket, SSL* tls) : socket_(socket), ssl_(tls) {
  if (tls == nullptr) return;
  BIO* bio = SocketBio::make(*this);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_accept_state(ssl_.get());
}

Stream::~Stream() { ::close(socket_); }

void Stream::ready(std::uint32_t events) {
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) ending_ = true;
  if (events & (EPOLLHUP | EPOLLERR)) broken_ = true;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    socket_readable_ = true;
    read_blocked_ = false;
  }
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
    socket_writable_ = true;
    if (read_wants_write_) read_blocked_ = false;
  }
}

ssize_t Stream::receive(char* into, std::size_t size) {
  if (!socket_readable_) {
    errno = EAGAIN;
    return -1;
  }
  ssize_t n = 0;
  do {
    n = ::recv(socket_, into, size, 0);
  } while (n < 0 && errno == EINTR);
  // Less than asked for: the kernel has no more, and will report what comes.
  if ((n < 0 && errno == EAGAIN) || (n > 0 && static_cast<std::size_t>(n) < size && !ending_)) socket_readable_ = false;
  return n;
}

ssize_t Stream::transmit(const char* bytes, std::size_t size) {
  if (!socket_writable_) {
    errno = EAGAIN;
    return -1;
  }
  ssize_t n = 0;
  do {
    n = ::send(socket_, bytes, size, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) socket_writable_ = false;
  return n;
}

Stream::Io Stream::tls_failure(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: return Io::kBlocked;
    case SSL_ERROR_WANT_WRITE: return Io::kBlocked;
    case SSL_ERROR_ZERO_RETURN: return Io::kEnded;
    default: tls_broken_ = true; return Io::kBroken;  // nothing more may be said on it, not even goodbye
  }
}

Stream::Io Stream::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? Io::kDone : tls_failure(result);
}

Stream::Io Stream::read(std::span<char> into, std::size_t& count) {
  count = 0;
  if (!ssl_) return read_plain(into, count);
  ERR_clear_error();
  const int result = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
  if (result > 0) {
    count = static_cast<std::size_t>(result);
    read_blocked_ = !socket_readable_ && SSL_has_pending(ssl_.get()) == 0;
    return Io::kDone;
  }
  const Io io = tls_failure(result);
  read_blocked_ = true;
  read_wants_write_ = io == Io::kBlocked && SSL_want_write(ssl_.get());
  return io;
}

Stream::Io Stream::read_plain(std::span<char> into, std::size_t& count) {
  const ssize_t n = receive(into.data(), into.size());
  if (n > 0) {
    count = static_cast<std::size_t>(n);
    read_blocked_ = !socket_readable_;
    return Io::kDone;
  }
  read_blocked_ = true;
  if (n == 0) return Io::kEnded;
  return errno == EAGAIN ? Io::kBlocked : Io::kBroken;
}

Stream::Io Stream::write(Outbox& out) { return ssl_ ? write_tls(out) : write_plain(out); }

Stream::Io Stream::write_plain(Outbox& out) {
  while (!out.empty()) {
    std::array<std::string_view, 16> pieces;
    const std::size_t count = out.front(pieces.data(), pieces.size());
    ssize_t n = 0;
    if (count == 1) {
      n = transmit(pieces[0].data(), pieces[0].size());
    } else if (!socket_writable_) {
      return Io::kBlocked;
    } else {
      std::array<iovec, 16> vectors;
      for (std::size_t i = 0; i < count; ++i)
        vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};  // NOLINT: sendmsg only reads them
      msghdr message{};
      message.msg_iov = vectors.data();
      message.msg_iovlen = count;
      do {
        n = ::sendmsg(socket_, &message, MSG_NOSIGNAL);
      } while (n < 0 && errno == EINTR);
      if (n < 0 && errno == EAGAIN) socket_writable_ = false;
    }
    if (n < 0) return errno == EAGAIN ? Io::kBlocked : Io::kBroken;
    out.sent(static_cast<std::size_t>(n));
  }
  return Io::kDone;
}

Stream::Io Stream::write_tls(Outbox& out) {
  while (!out.empty()) {
    const std::string_view piece = out.front();
    ERR_clear_error();
    // Partial writes are on: each call sends one record and says how much that was.
    const int result =
        SSL_write(ssl_.get(), piece.data(), static_cast<int>(std::min<std::size_t>(piece.size(), 1 << 30)));
    if (result <= 0) return tls_failure(result);
    out.sent(static_cast<std::size_t>(result));
  }
  return Io::kDone;
}

void Stream::shut_down() {
  if (ssl_ && !tls_broken_ && SSL_is_init_finished(ssl_.get())) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(socket_, SHUT_WR);
}

}  // namespace evercert::net
