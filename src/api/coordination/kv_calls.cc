// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/etcd_calls.h"

namespace evercert::api {

using namespace etcdserverpb;

void serve_kv(EtcdParts& parts) {
  using Service = KV::AsyncService;
  auto& queue = parts.queue;
  auto& access = parts.access;
  auto& coordinator = parts.coordinator;
  auto& services = parts.services;
  serve_as<&Service::RequestRange, Service, RangeRequest, RangeResponse>(
      queue, access, Role::kReader, services.kv,
      [&c = coordinator](CallInfo info, RangeRequest request) { return c.range(info.executor, std::move(request)); });
  serve_as<&Service::RequestPut, Service, PutRequest, PutResponse>(
      queue, access, Role::kOperator, services.kv,
      [&c = coordinator](CallInfo info, PutRequest request) { return c.put(info.executor, std::move(request)); });
  serve_as<&Service::RequestDeleteRange, Service, DeleteRangeRequest, DeleteRangeResponse>(
      queue, access, Role::kOperator, services.kv, [&c = coordinator](CallInfo info, DeleteRangeRequest request) {
        return c.remove(info.executor, std::move(request));
      });
  serve_as<&Service::RequestTxn, Service, TxnRequest, TxnResponse>(
      queue, access, Role::kOperator, services.kv,
      [&c = coordinator](CallInfo info, TxnRequest request) { return c.txn(info.executor, std::move(request)); });
  serve_as<&Service::RequestCompact, Service, CompactionRequest, CompactionResponse>(
      queue, access, Role::kOperator, services.kv, [&c = coordinator](CallInfo info, CompactionRequest request) {
        return c.compact(info.executor, std::move(request));
      });
}

}  // namespace evercert::api
