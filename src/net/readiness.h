// SPDX-License-Identifier: Apache-2.0
// Edge-triggered readiness of many sockets on one io_context. The io_context waits for one descriptor, an epoll of
// ours: a socket is registered once, and waiting for it again costs no system call, whereas async_wait() on each costs
// one. For .cc files of net only. One thread; watch() may be called before the loop runs.
#pragma once

#include <sys/epoll.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <functional>
#include <vector>

#include "net/asio_runtime.h"

namespace evercert::net {

// What a socket belongs to. It must live until the turn of the loop in which its socket was closed is over.
class Watched {
 public:
  virtual void ready(std::uint32_t epoll_events) = 0;

 protected:
  ~Watched() = default;
};

class Readiness {
 public:
  static constexpr std::uint32_t kConnection = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  static constexpr std::uint32_t kListener = EPOLLIN;  // level-triggered
  static constexpr std::uint32_t kNothing = 0;

  explicit Readiness(asio::io_context& context);
  ~Readiness();
  // false: the kernel has no room for it. Closing the socket ends it.
  bool watch(int socket, std::uint32_t events, Watched& who);
  // Other events, or the same once more: what is ready is then reported anew.
  void watch_again(int socket, std::uint32_t events, Watched& who);
  // To be called before a socket is closed that other processes hold, too: closing does not end it then.
  void forget(int socket);
  // Within a turn: runs `work` before it ends, when all that is ready has been served. Otherwise it is posted to
  // `context`, which is of this thread.
  static void at_end_of_turn(asio::io_context& context, std::function<void()> work);
  // Begins to wait, on the loop's thread. Each turn ends with `after_turn`.
  void start(std::function<void()> before_turn, std::function<void()> after_turn);

 private:
  void wait();
  void turn();

  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> epoll_;
  std::function<void()> before_turn_, after_turn_;
  std::vector<std::function<void()>> endings_;
};

}  // namespace evercert::net
