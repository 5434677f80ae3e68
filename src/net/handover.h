// SPDX-License-Identifier: Apache-2.0
// A server that is started beside one that runs takes its listening sockets over, through a Unix socket: the sockets
// stay open all the time, so no connection is refused, and none that waits to be accepted is lost. The old server then
// drains. For .cc files of net only.
//
//   new: connects                      old: sends the names of its sockets, with the sockets
//   new: serves, then says "ready"     old: accepts nothing more
//
// A new server that ends before it is ready changes nothing. Both must run as the same user.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"

namespace evercert::net {

struct NamedSocket {
  std::string name;  // what was asked for: without a line break
  int socket;
};

// The new server's side.
class Takeover {
 public:
  // From the server behind `path`. None there: nothing is taken over. kDenied: it is another user's; kIo.
  static Result<Takeover> from(const std::string& path);
  Takeover() = default;
  Takeover(Takeover&& other) noexcept { *this = std::move(other); }
  Takeover& operator=(Takeover&& other) noexcept {
    std::swap(connection_, other.connection_);
    std::swap(sockets_, other.sockets_);
    return *this;
  }
  ~Takeover();

  bool found() const { return connection_ >= 0; }
  // The sockets of this name, now the caller's.
  std::vector<int> take(const std::string& name);
  // This server serves. Sockets that nobody took are closed. kIo: the old one did not hear it.
  Status ready();

 private:
  int connection_ = -1;
  std::vector<NamedSocket> sockets_;
};

// The old server's side: waits for a new one, on a thread of its own.
class Handover {
 public:
  static constexpr std::size_t kMostSockets = 128;

  // `sockets` stay the caller's. `handed_over` is called once, on the thread, when a new server is ready. kIo.
  static Result<std::unique_ptr<Handover>> wait(const std::string& path, std::vector<NamedSocket> sockets,
                                                std::function<void()> handed_over);
  ~Handover();
  Handover(const Handover&) = delete;
  Handover& operator=(const Handover&) = delete;

 private:
  Handover(std::string path, int listener, std::vector<NamedSocket> sockets, std::function<void()> handed_over);
  void run(const std::stop_token& stop);
  bool serve(int connection, const std::stop_token& stop) const;

  const std::string path_;
  const int listener_;
  const std::vector<NamedSocket> sockets_;
  const std::function<void()> handed_over_;
  std::atomic<bool> over_{false};
  std::jthread thread_;
};

}  // namespace evercert::net
