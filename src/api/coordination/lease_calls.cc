// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/etcd_calls.h"
#include "api/coordination/stream_binding.h"
#include "base/task_scope.h"

namespace evercert::api {
namespace {

using namespace etcdserverpb;

class KeepAlive : public Conversation<LeaseKeepAliveRequest> {
 public:
  KeepAlive(StreamOut<LeaseKeepAliveResponse>& out, Executor& executor, Coordinator& coordinator)
      : out_(out), executor_(executor), coordinator_(coordinator) {}

  void received(LeaseKeepAliveRequest request) override {
    renewing_.spawn(coordinator_.renew(executor_, std::move(request)),
                    [this](Answered<LeaseKeepAliveResponse> renewed) {
                      if (!renewed) return out_.finish(to_grpc(renewed.error()));
                      out_.send(std::move(*renewed));
                      // This renewal still counts.
                      if (closed_ && renewing_.running() == 1) out_.finish(grpc::Status::OK);
                    });
  }
  void half_closed() override {
    closed_ = true;
    if (renewing_.running() == 0) out_.finish(grpc::Status::OK);
  }

 private:
  StreamOut<LeaseKeepAliveResponse>& out_;
  Executor& executor_;
  Coordinator& coordinator_;
  bool closed_ = false;
  TaskScope renewing_;
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
