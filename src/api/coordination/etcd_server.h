// SPDX-License-Identifier: Apache-2.0
// etcd's v3 API over gRPC and TLS, for its clients as they are: KV, Lease, Watch, Lock, Election, and so much of
// Maintenance, Cluster and Auth as they ask for. See docs/coordination.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/coordination/access.h"
#include "api/coordination/coordinator.h"
#include "api/coordination/locks.h"
#include "coordination/watch_hub.h"
#include "net/grpc_host.h"

namespace evercert::api {

struct EtcdServerOptions {
  std::string address;
  std::uint16_t port = 0;
  net::TlsFiles tls;
  struct Member {
    NodeId node;
    std::string name, client_url, peer_url;
  };
  std::vector<Member> members;
};

class EtcdServer {
 public:
  // Before the host starts; calls wait until begin(). kInvalid: TLS files. Outlives the host's queue.
  static Result<std::unique_ptr<EtcdServer>> create(EtcdServerOptions options, net::GrpcHost& host);
  virtual ~EtcdServer() = default;
  // Everything given outlives the host's queue.
  virtual void begin(Access access, Coordinator& coordinator, Locks& locks, coordination::WatchHub& hub,
                     store::Store& store) = 0;
};

}  // namespace evercert::api
