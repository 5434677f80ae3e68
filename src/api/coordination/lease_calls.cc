// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/etcd_calls.h"
#include "api/coordination/stream_binding.h"

namespace evercert::api {
namespace {

using namespace etcdserverpb;

class KeepAlive : public Conversation<LeaseKeepAliveRequest> {
 public:
  KeepAlive(StreamOut<LeaseKeepAliveResponse>& out, Executor& executor, Coordinator& coordinator)
      : out_(out), executor_(executor), coordinator_(coordinator) {}

  void received(LeaseKeepAliveRequest request) override {
    ++under_way_;
    spawn(coordinator_.renew(executor_, std::move(request)),
          [this, alive = std::weak_ptr<int>(alive_)](Answered<LeaseKeepAliveResponse> renewed) {
            if (!alive.lock()) return;
            --under_way_;
            if (!renewed) return out_.finish(to_grpc(renewed.error()));
            out_.send(std::move(*renewed));
            if (closed_) half_closed();
          });
  }
  void half_closed() override {
    closed_ = true;
    if (under_way_ == 0) out_.finish(grpc::Status::OK);
  }

 private:
  StreamOut<LeaseKeepAliveResponse>& out_;
  Executor& executor_;
  Coordinator& coordinator_;
  int under_way_ = 0;
  bool closed_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace

void serve_lease(EtcdParts& parts) {
  using Service = Lease::AsyncService;
  auto& service = parts.services.lease;
  auto& c = parts.coordinator;
  serve_as<&Service::RequestLeaseGrant, Service, LeaseGrantRequest, LeaseGrantResponse>(
      parts.queue, parts.access, Role::kOperator, service,
      [&c](CallInfo info, LeaseGrantRequest request) { return c.grant(info.executor, std::move(request)); });
  serve_as<&Service::RequestLeaseRevoke, Service, LeaseRevokeRequest, LeaseRevokeResponse>(
      parts.queue, parts.access, Role::kOperator, service,
      [&c](CallInfo info, LeaseRevokeRequest request) { return c.revoke(info.executor, std::move(request)); });
  serve_as<&Service::RequestLeaseTimeToLive, Service, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse>(
      parts.queue, parts.access, Role::kReader, service, [&c](CallInfo info, LeaseTimeToLiveRequest request) {
        return c.time_to_live(info.executor, std::move(request));
      });
  serve_as<&Service::RequestLeaseLeases, Service, LeaseLeasesRequest, LeaseLeasesResponse>(
      parts.queue, parts.access, Role::kReader, service,
      [&c](CallInfo info, LeaseLeasesRequest) { return c.leases(info.executor); });
  serve_stream<&Service::RequestLeaseKeepAlive, Service, LeaseKeepAliveRequest, LeaseKeepAliveResponse>(
      parts.queue, parts.access, Role::kOperator, service, [&parts](StreamOut<LeaseKeepAliveResponse>& out) {
        return std::make_unique<KeepAlive>(out, parts.queue, parts.coordinator);
      });
}

}  // namespace evercert::api
