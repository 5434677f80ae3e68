// SPDX-License-Identifier: Apache-2.0
// A connected socket, plain or with TLS over it, that never blocks: it does what can be done now and says what it waits
// for. Made for edge-triggered readiness: it remembers that the kernel had no more, and asks again only when told that
// something changed. For .cc files of net only.
#pragma once

#include <openssl/ssl.h>

#include <span>
#include <string>

#include "base/owned.h"
#include "net/outbox.h"

namespace evercert::net {

class Stream {
 public:
  enum class Io {
    kDone,
    kBlocked,  // nothing now: go on after ready()
    kEnded,    // the other side has said all that it will (a TLS connection that was cut counts as broken)
    kBroken,
  };

  // Owns `socket`, which must be non-blocking, and `tls`, which is null for a plain connection, else accepts.
  Stream(int socket, SSL* tls);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int socket() const { return socket_; }
  bool tls() const { return ssl_ != nullptr; }
  SSL* ssl() const { return ssl_.get(); }

  // What epoll reported since.
  void ready(std::uint32_t epoll_events);
  Io handshake();
  // kDone: `count` > 0 bytes came.
  Io read(std::span<char> into, std::size_t& count);
  // kDone: all was sent.
  Io write(Outbox& out);
  // Says goodbye (close_notify, FIN); reading goes on.
  void shut_down();
  // The other side has closed, or worse.
  bool ending() const { return ending_; }
  // By a reset or an error: nothing will leave any more.
  bool broken() const { return broken_; }
  bool may_read() const { return !read_blocked_; }

 private:
  friend struct SocketBio;

  Io read_plain(std::span<char> into, std::size_t& count);
  Io write_plain(Outbox& out);
  Io write_tls(Outbox& out);
  Io tls_failure(int result);
  // Both like the system calls, with -1 and EAGAIN in errno without a call when the kernel has nothing new.
  ssize_t receive(char* into, std::size_t size);
  ssize_t transmit(const char* bytes, std::size_t size);

  int socket_;
  bool socket_readable_ = true, socket_writable_ = true;
  bool ending_ = false;  // the other side has closed, or worse: a short read is not the last one
  bool broken_ = false;
  bool read_blocked_ = false;  // read() would say kBlocked
  bool read_wants_write_ = false, tls_broken_ = false;
  Owned<SSL, SSL_free> ssl_;
};

}  // namespace evercert::net
