// SPDX-License-Identifier: Apache-2.0
// What every node of a cluster has, whatever it does for clients: a data folder that is its own, the store, and the
// connections to its peers.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "base/os/system.h"
#include "config/config.h"
#include "net/grpc_host.h"
#include "net/peer_transport.h"
#include "node/dir_lock.h"
#include "node/node_process.h"
#include "store/runtime.h"

namespace evercert::node {

class Member {
 public:
  // The store is open, and nobody is heard yet. Errors as NodeProcess::start.
  static Result<std::unique_ptr<Member>> open(const NodeOptions& options, config::ClusterConfig config);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  // Peers are heard at once. `services`: what else is served on the host, added before it starts.
  Status hear_peers(const std::function<Status(net::GrpcHost&)>& services = {});
  void drain(Duration patience) { grpc_->drain(patience); }
  // Nothing is called any more that was waiting for the store or a peer. The destructor does it too.
  void stop();

  const config::ClusterConfig& config() const { return config_; }
  const config::RegionConfig& region() const { return *region_; }
  const config::NodeConfig& self() const { return *self_; }
  store::Runtime& store() { return *store_; }
  os::ThreadExecutor& background() { return *background_; }
  std::optional<Error> fatal() const;

 private:
  explicit Member(config::ClusterConfig config) : config_(std::move(config)) {}
  Status open_store(const NodeOptions& options);
  void follow_members();
  void stop_because(Error error);

  config::ClusterConfig config_;
  const config::RegionConfig* region_ = nullptr;
  const config::NodeConfig* self_ = nullptr;
  DirLock lock_;
  std::unique_ptr<os::ThreadExecutor> store_executor_, background_;
  std::unique_ptr<store::Runtime> store_;
  std::unique_ptr<net::GrpcHost> grpc_;
  std::unique_ptr<net::PeerTransport> transport_;
  std::atomic<net::PeerTransport*> transport_ready_{nullptr};
  Epoch members_epoch_;
  bool stopped_ = false;
  mutable std::mutex fatal_mutex_;
  std::optional<Error> fatal_;
};

}  // namespace evercert::node
