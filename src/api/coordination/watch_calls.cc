// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/etcd_calls.h"
#include "api/coordination/stream_binding.h"
#include "api/coordination/watch_conversation.h"

namespace evercert::api {

void serve_watch(EtcdParts& parts) {
  using Service = etcdserverpb::Watch::AsyncService;
  serve_stream<&Service::RequestWatch, Service, etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>(
      parts.queue, parts.access, Role::kReader, parts.services.watch,
      [&parts](StreamOut<etcdserverpb::WatchResponse>& out) {
        return std::make_unique<WatchConversation>(out, parts.queue, parts.coordinator, parts.hub);
      });
}

}  // namespace evercert::api
