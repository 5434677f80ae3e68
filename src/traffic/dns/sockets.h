// SPDX-License-Identifier: Apache-2.0
// Listening sockets for DNS. For .cc files only.
#pragma once

#include <sys/socket.h>

#include <utility>

#include "base/result.h"
#include "traffic/dns/address.h"

namespace evercert::traffic::dns {

class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Socket();
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

bool is_any(const IpAddress& address);
socklen_t to_system(const SocketAddress& address, sockaddr_storage& out);
IpAddress from_system(const sockaddr_storage& address);

// `shared`: several sockets take turns (SO_REUSEPORT). Port 0: any free one. kIo: with the reason and a way out.
Result<Socket> open_udp(const SocketAddress& address, bool shared);
Result<Socket> open_tcp(const SocketAddress& address);  // non-blocking
Result<std::uint16_t> port_of(const Socket& socket);

}  // namespace evercert::traffic::dns
