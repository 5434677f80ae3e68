// SPDX-License-Identifier: Apache-2.0
// The services of etcd's API, each bound to what answers it.
#pragma once

#include "api/coordination/etcd_server.h"
#include "api/coordination/unary_call.h"
#include "etcd/etcdserver/api/v3election/v3electionpb/v3election.grpc.pb.h"
#include "etcd/etcdserver/api/v3lock/v3lockpb/v3lock.grpc.pb.h"
#include "etcd/etcdserver/etcdserverpb/rpc.grpc.pb.h"

namespace evercert::api {

struct EtcdServices {
  etcdserverpb::KV::AsyncService kv;
  etcdserverpb::Lease::AsyncService lease;
  etcdserverpb::Watch::AsyncService watch;
  v3lockpb::Lock::AsyncService lock;
  v3electionpb::Election::AsyncService election;
  etcdserverpb::Maintenance::AsyncService maintenance;
  etcdserverpb::Cluster::AsyncService cluster;
  etcdserverpb::Auth::AsyncService auth;
};

// What all of them need; outlives the server.
struct EtcdParts {
  const EtcdServerOptions& options;
  const Access& access;
  Coordinator& coordinator;
  Locks& locks;
  coordination::WatchHub& hub;
  store::Store& store;
  net::GrpcQueue& queue;
  EtcdServices& services;
};

void serve_kv(EtcdParts& parts);
void serve_lease(EtcdParts& parts);
void serve_watch(EtcdParts& parts);
void serve_locks(EtcdParts& parts);
void serve_status(EtcdParts& parts);

}  // namespace evercert::api
