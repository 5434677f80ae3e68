// SPDX-License-Identifier: Apache-2.0
// The failover controller by REST: what it does and has done, the policy, and what persons order. /v1/failover; errors
// are RFC 7807 problems. Any node answers: all of it lies in the key space, and the controller takes orders from there.
#pragma once

#include <functional>
#include <string>

#include "api/coordination/coordinator.h"
#include "api/coordination/locks.h"
#include "api/failover/log_check.h"
#include "api/rest/rest.h"
#include "recovery/failover/controller.h"

namespace evercert::api {

// What a node itself does about failover.
struct FailoverSeat {
  bool leads = false;
  std::int64_t token = 0;
  std::string refusal;  // why it decides nothing at present
  std::int64_t since_ms = 0;
};

struct FailoverHooks {
  std::function<recovery::Observation()> observe;
  std::function<FailoverSeat()> seat;
  std::function<Task<Result<recovery::Rehearsal>>(Executor&, RegionId)> rehearse;
};

class Failover {
 public:
  // Everything given outlives it and every task it gave out.
  Failover(const Rest& rest, Coordinator& coordinator, Locks& locks, recovery::Cluster cluster, WallClock& wall,
           LogTrust trust, FailoverHooks hooks)
      : rest_(rest),
        coordinator_(coordinator),
        locks_(locks),
        cluster_(std::move(cluster)),
        wall_(wall),
        trust_(std::move(trust)),
        hooks_(std::move(hooks)) {}
  void mount(Router& router);

 private:
  using Response = Task<net::HttpResponse>;
  Response status(net::HttpRequest request);
  Response log(net::HttpRequest request);
  Response policy(net::HttpRequest request);
  Response set_policy(net::HttpRequest request);
  Response shares(net::HttpRequest request);
  Response plan(net::HttpRequest request);
  Response order(net::HttpRequest request, std::string id, recovery::Order::Verb verb);
  // Puts the order where the controller finds it: 202, and what is to be looked at.
  Response give(net::HttpRequest request, recovery::Order order);
  Task<Answered<etcdserverpb::RangeResponse>> read(Executor& on, std::string_view key);
  Task<Answered<etcdserverpb::RangeResponse>> read_log(Executor& on, std::size_t limit,
                                                       std::optional<std::uint64_t> from);

  const Rest& rest_;
  Coordinator& coordinator_;
  Locks& locks_;
  const recovery::Cluster cluster_;
  WallClock& wall_;
  const LogTrust trust_;
  const FailoverHooks hooks_;
};

}  // namespace evercert::api
