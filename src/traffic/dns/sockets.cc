// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/sockets.h"

#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace evercert::traffic::dns {
namespace {

constexpr int kReceiveBuffer = 4 << 20;  // a burst waits rather than being lost

std::unexpected<Error> no_socket(const SocketAddress& address, const char* protocol) {
  std::string way_out;
  if (errno == EACCES) way_out = ": ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities)";
  if (errno == EADDRINUSE) way_out = ": another program listens there: stop it, or choose another with --listen";
  if (errno == EADDRNOTAVAIL) way_out = ": this machine does not have the address";
  return fail(Code::kIo, std::string("no ") + protocol + " socket at " + to_string(address) + ": " +
                             std::strerror(errno) + way_out);
}

bool set(int socket, int level, int name, int value) {
  return ::setsockopt(socket, level, name, &value, sizeof value) == 0;
}

}  // namespace

Socket::~Socket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool is_any(const IpAddress& address) {
  return std::all_of(address.bytes.begin(), address.bytes.end(), [](std::uint8_t b) { return b == 0; });
}

socklen_t to_system(const SocketAddress& address, sockaddr_storage& out) {
  out = {};
  if (address.address.v6) {
    auto& six = reinterpret_cast<sockaddr_in6&>(out);
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(address.port);
    std::memcpy(&six.sin6_addr, address.address.bytes.data(), 16);
    return sizeof six;
  }
  auto& four = reinterpret_cast<sockaddr_in&>(out);
  four.sin_family = AF_INET;
  four.sin_port = htons(address.port);
  std::memcpy(&four.sin_addr, address.address.bytes.data(), 4);
  return sizeof four;
}

IpAddress from_system(const sockaddr_storage& address) {
  IpAddress out;
  out.v6 = address.ss_family == AF_INET6;
  if (out.v6) {
    std::memcpy(out.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
  } else {
    std::memcpy(out.bytes.data(), &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
  }
  return out;
}

Result<Socket> open_udp(const SocketAddress& address, bool shared) {
  const bool v6 = address.address.v6;
  Socket socket(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage here;
  const socklen_t size = to_system(address, here);
  bool fine = socket.get() >= 0 && (!shared || set(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1));
  if (fine && v6) fine = set(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  // No path MTU discovery: a forged "too big" cannot make answers come in fragments.
  if (fine && !v6) fine = set(socket.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
  if (fine && v6) fine = set(socket.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
  // A socket of all addresses answers from the one that was asked.
  if (fine && is_any(address.address))
    fine = v6 ? set(socket.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) : set(socket.get(), IPPROTO_IP, IP_PKTINFO, 1);
  if (!fine || ::bind(socket.get(), reinterpret_cast<sockaddr*>(&here), size) != 0) return no_socket(address, "UDP");
  // As much of it as the system allows; less is no reason not to serve.
  static_cast<void>(set(socket.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBuffer));
  return socket;
}

Result<Socket> open_tcp(const SocketAddress& address) {
  const bool v6 = address.address.v6;
  Socket socket(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage here;
  const socklen_t size = to_system(address, here);
  const bool fine = socket.get() >= 0 && set(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1) &&
                    (!v6 || set(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
                    ::bind(socket.get(), reinterpret_cast<sockaddr*>(&here), size) == 0 &&
                    ::listen(socket.get(), 256) == 0;
  if (!fine) return no_socket(address, "TCP");
  return socket;
}

Result<std::uint16_t> port_of(const Socket& socket) {
  sockaddr_storage here{};
  socklen_t size = sizeof here;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&here), &size) != 0)
    return fail(Code::kIo, std::string("a socket without an address: ") + std::strerror(errno));
  return ntohs(here.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(here).sin6_port
                                          : reinterpret_cast<sockaddr_in&>(here).sin_port);
}

}  // namespace evercert::traffic::dns
