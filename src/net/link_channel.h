// SPDX-License-Identifier: Apache-2.0
// One connection of a link, either end: TLS 1.3 on a non-blocking socket, frames in and out. What is written during one
// turn of the event loop leaves together at its end. For .cc files of net only. All on the thread of its io_context.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <string>

#include "net/asio_runtime.h"
#include "net/link_frames.h"

namespace evercert::net {

// With the executor's own type: no indirection at each readiness.
using LinkSocket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;

// Sets what both ends of a link use: TLS 1.3 alone, read ahead, partial writes.
void set_link_options(SSL_CTX* context);

class LinkChannel : public std::enable_shared_from_this<LinkChannel> {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Side { kClient, kServer };

  LinkChannel(LinkSocket socket, SSL_CTX* context, std::size_t max_frame_bytes);
  virtual ~LinkChannel();
  LinkChannel(const LinkChannel&) = delete;
  LinkChannel& operator=(const LinkChannel&) = delete;

 protected:
  // Begins the handshake on a connected socket.
  void start(Side side);
  SSL* ssl() { return ssl_; }
  LinkSocket& socket() { return socket_; }
  asio::io_context& context() { return context_; }

  FrameWriter& writer() { return writer_; }
  // Something was given to the writer: it leaves when this turn of the loop ends.
  void wrote();
  std::size_t waiting_bytes() const { return writer_.size() + out_.size() - out_done_; }
  bool open() const { return !closed_; }
  Clock::time_point last_heard() const { return last_heard_; }
  void pause_reading(bool paused);
  // Ends the connection; closed() is called once, from here.
  void close(const std::string& why);

  // The handshake is done. False: the peer is not welcome.
  virtual bool ready() = 0;
  // Everything in the writer leaves now. And: all has left.
  virtual void leaving() {}
  virtual void drained() {}
  virtual void frame(v1::LinkFrame& frame) = 0;
  virtual void closed(const std::string& why) = 0;

 private:
  void drive();
  bool shake_hands();
  void read();
  void flush();
  void wait_read();
  void wait_write();
  // An SSL call moved nothing: waits for what it needs, or ends the connection.
  void wait_for(int result, const char* what);

  asio::io_context& context_;
  LinkSocket socket_;
  SSL* ssl_;
  FrameReader reader_;
  FrameWriter writer_;
  std::string out_;  // handed to TLS, from out_done_ on not yet taken
  std::size_t out_done_ = 0;
  Clock::time_point last_heard_;
  bool ready_ = false, closed_ = false, paused_ = false;
  bool flush_posted_ = false, driving_ = false, waits_read_ = false, waits_write_ = false;
};

}  // namespace evercert::net
