// SPDX-License-Identifier: Apache-2.0
#include "net/source_address.h"

#include <arpa/inet.h>
#include <grpc/support/sync.h>
#include <sys/socket.h>

#include <cstring>

// gRPC lets a "socket mutator" touch each socket before it is connected: the only way to bind a source address. The
// library exports these functions, but the header that declares them is not installed, so their shapes are repeated
// here as of gRPC 1.51. CMake refuses another minor version, so that a change of shape cannot go unnoticed.
typedef enum {
  GRPC_FD_CLIENT_CONNECTION_USAGE,
  GRPC_FD_SERVER_LISTENER_USAGE,
  GRPC_FD_SERVER_CONNECTION_USAGE
} grpc_fd_usage;
struct grpc_mutate_socket_info {
  int fd;
  grpc_fd_usage usage;
};
struct grpc_socket_mutator_vtable {
  bool (*mutate_fd)(int fd, grpc_socket_mutator* mutator);
  int (*compare)(grpc_socket_mutator* a, grpc_socket_mutator* b);
  void (*destroy)(grpc_socket_mutator* mutator);
  bool (*mutate_fd_2)(const grpc_mutate_socket_info* info, grpc_socket_mutator* mutator);
};
struct grpc_socket_mutator {
  const grpc_socket_mutator_vtable* vtable;
  gpr_refcount refcount;
};
void grpc_socket_mutator_init(grpc_socket_mutator* mutator, const grpc_socket_mutator_vtable* vtable);

namespace evercert::net {
namespace {

struct SourceAddress : grpc_socket_mutator {
  sockaddr_in address{};
};

bool bind_socket(const grpc_mutate_socket_info* info, grpc_socket_mutator* mutator) {
  if (info->usage != GRPC_FD_CLIENT_CONNECTION_USAGE) return true;
  const auto& address = static_cast<SourceAddress*>(mutator)->address;
  int domain = 0;
  socklen_t length = sizeof domain;
  if (getsockopt(info->fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) return false;
  if (domain ==
      AF_INET6) {  // gRPC prefers sockets of both families: the address in its mapped form (RFC 4291 section 2.5.5.2)
    sockaddr_in6 mapped{};
    mapped.sin6_family = AF_INET6;
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&mapped.sin6_addr.s6_addr[12], &address.sin_addr, 4);
    return ::bind(info->fd, reinterpret_cast<const sockaddr*>(&mapped), sizeof mapped) == 0;
  }
  return ::bind(info->fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Equal mutators let gRPC share a connection between channels.
int compare(grpc_socket_mutator* a, grpc_socket_mutator* b) {
  return std::memcmp(&static_cast<SourceAddress*>(a)->address, &static_cast<SourceAddress*>(b)->address,
                     sizeof(sockaddr_in));
}

void destroy(grpc_socket_mutator* mutator) { delete static_cast<SourceAddress*>(mutator); }

constexpr grpc_socket_mutator_vtable kVtable{nullptr, compare, destroy, bind_socket};

}  // namespace

void bind_source_address(grpc::ChannelArguments& arguments, const std::string& address) {
  auto* mutator = new SourceAddress;
  grpc_socket_mutator_init(mutator, &kVtable);
  mutator->address.sin_family = AF_INET;
  inet_pton(AF_INET, address.c_str(), &mutator->address.sin_addr);
  arguments.SetSocketMutator(mutator);  // takes over the reference
}

}  // namespace evercert::net
