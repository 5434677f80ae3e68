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

namespace evercert::api {

struct EtcdServerOptions {
  std::string address;
  std::uint16_t port = 0;
  std::string ca_pem, certificate_pem, key_pem;
  struct Member {
    NodeId node;
    std::string name, client_url, peer_url;
  };
  std::vector<Member> members;
};

class EtcdServer {
 public:
  // kIo: the port is taken; kInvalid: TLS files. Everything given outlives the server.
  static Result<std::unique_ptr<EtcdServer>> start(EtcdServerOptions options, Access access, Coordinator& coordinator,
                                                   Locks& locks, coordination::WatchHub& hub, store::Store& store);
  virtual ~EtcdServer() = default;
};

}  // namespace evercert::api
