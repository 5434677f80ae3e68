// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/etcd_server.h"

#include "api/coordination/etcd_calls.h"

namespace evercert::api {
namespace {

class ServerImpl : public EtcdServer {
 public:
  ServerImpl(EtcdServerOptions options, net::GrpcHost& host) : options_(std::move(options)), host_(host) {
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &services_.kv, &services_.lease, &services_.watch, &services_.lock, &services_.election,
             &services_.maintenance, &services_.cluster, &services_.auth}) {
      host_.serve(*service);
    }
  }

  void begin(Access access, Coordinator& coordinator, Locks& locks, coordination::WatchHub& hub,
             store::Store& store) override {
    access_.emplace(std::move(access));
    parts_ = std::make_unique<EtcdParts>(
        EtcdParts{options_, *access_, coordinator, locks, hub, store, host_.queue(), services_});
    serve_kv(*parts_);
    serve_lease(*parts_);
    serve_watch(*parts_);
    serve_locks(*parts_);
    serve_status(*parts_);
  }

 private:
  EtcdServerOptions options_;
  net::GrpcHost& host_;
  EtcdServices services_;
  std::optional<Access> access_;
  std::unique_ptr<EtcdParts> parts_;
};

}  // namespace

Result<std::unique_ptr<EtcdServer>> EtcdServer::create(EtcdServerOptions options, net::GrpcHost& host) {
  EC_TRY(host.listen({options.address, options.port, options.tls, false, "clients of the key space"}));
  return std::make_unique<ServerImpl>(std::move(options), host);
}

}  // namespace evercert::api
