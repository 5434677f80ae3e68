// SPDX-License-Identifier: Apache-2.0
// The key space as an interface sees it: one call per request of etcd's API. Writes are durable by the store's rule and
// applied exactly once; reads are linearizable unless asked to be serializable, which any node answers alone.
#pragma once

#include <atomic>
#include <string>

#include "api/coordination/trouble.h"
#include "base/env.h"
#include "base/task.h"
#include "coordination/proposer.h"
#include "store/coordination_store.h"
#include "store/store.h"

namespace evercert::api {

struct CoordinatorOptions {
  NodeId self;
  std::uint64_t session = 1;      // grows with every start of the node
  std::uint64_t cluster_id = 0;   // for response headers
  Duration patience = 7s;         // for one request
  std::int64_t shortest_ttl = 2;  // seconds: a lease must outlive a change of leader
};

class Coordinator {
 public:
  // Everything given outlives the coordinator and every task it gave out.
  Coordinator(CoordinatorOptions options, store::Store& store, store::CoordinationStore& space, Random& random)
      : options_(options),
        store_(store),
        space_(space),
        random_(random),
        proposer_(options.self.value, options.session) {}

  Task<Answered<etcdserverpb::RangeResponse>> range(Executor& on, etcdserverpb::RangeRequest request);
  Task<Answered<etcdserverpb::PutResponse>> put(Executor& on, etcdserverpb::PutRequest request);
  Task<Answered<etcdserverpb::DeleteRangeResponse>> remove(Executor& on, etcdserverpb::DeleteRangeRequest request);
  Task<Answered<etcdserverpb::TxnResponse>> txn(Executor& on, etcdserverpb::TxnRequest request);
  Task<Answered<etcdserverpb::CompactionResponse>> compact(Executor& on, etcdserverpb::CompactionRequest request);

  Task<Answered<etcdserverpb::LeaseGrantResponse>> grant(Executor& on, etcdserverpb::LeaseGrantRequest request);
  Task<Answered<etcdserverpb::LeaseRevokeResponse>> revoke(Executor& on, etcdserverpb::LeaseRevokeRequest request);
  // TTL 0: no such lease.
  Task<Answered<etcdserverpb::LeaseKeepAliveResponse>> renew(Executor& on, etcdserverpb::LeaseKeepAliveRequest request);
  // TTL -1: no such lease.
  Task<Answered<etcdserverpb::LeaseTimeToLiveResponse>> time_to_live(Executor& on,
                                                                     etcdserverpb::LeaseTimeToLiveRequest request);
  Task<Answered<etcdserverpb::LeaseLeasesResponse>> leases(Executor& on);

  void fill(etcdserverpb::ResponseHeader* header, std::int64_t revision);
  const CoordinatorOptions& options() const { return options_; }
  store::CoordinationStore& space() { return space_; }

 private:
  Task<Answered<coordination::v1::Answer>> propose(Executor& on, coordination::v1::Command command);
  // A view that is fresh, or any (`serializable`).
  Task<Answered<std::unique_ptr<coordination::View>>> view(Executor& on, bool serializable);

  CoordinatorOptions options_;
  store::Store& store_;
  store::CoordinationStore& space_;
  Random& random_;
  coordination::Proposer proposer_;
  std::atomic<std::uint64_t> fills_{0}, term_{0};
};

}  // namespace evercert::api
