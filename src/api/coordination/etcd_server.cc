// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/etcd_server.h"

#include "api/coordination/etcd_calls.h"

namespace evercert::api {
namespace {

constexpr int kLargestRequest = 2 << 20;

class ServerImpl : public EtcdServer {
 public:
  ServerImpl(EtcdServerOptions options, Access access, Coordinator& coordinator, Locks& locks,
             coordination::WatchHub& hub, store::Store& store)
      : options_(std::move(options)),
        access_(std::move(access)),
        coordinator_(coordinator),
        locks_(locks),
        hub_(hub),
        store_(store) {}

  ~ServerImpl() override {
    if (!queue_) return;
    queue_->close();
    if (server_) server_->Shutdown(std::chrono::system_clock::time_point{});
    queue_->stop();
  }

  Status open() {
    // A certificate is welcome and not needed: tokens do too.
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = options_.ca_pem;
    tls.pem_key_cert_pairs.push_back({options_.key_pem, options_.certificate_pem});
    grpc::ServerBuilder builder;
    const std::string where = options_.address + ":" + std::to_string(options_.port);
    int bound = 0;
    builder.AddListeningPort(where, grpc::SslServerCredentials(tls), &bound);
    builder.SetMaxReceiveMessageSize(kLargestRequest);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &services_.kv, &services_.lease, &services_.watch, &services_.lock, &services_.election,
             &services_.maintenance, &services_.cluster, &services_.auth}) {
      builder.RegisterService(service);
    }
    queue_ = std::make_unique<GrpcQueue>(builder.AddCompletionQueue());
    server_ = builder.BuildAndStart();
    if (!server_ || bound == 0) {
      return fail(Code::kIo, "cannot listen for clients of the key space on " + where +
                                 ": the port is taken or TLS files are damaged");
    }
    parts_ = std::make_unique<EtcdParts>(
        EtcdParts{options_, access_, coordinator_, locks_, hub_, store_, *queue_, services_});
    serve_kv(*parts_);
    serve_lease(*parts_);
    serve_watch(*parts_);
    serve_locks(*parts_);
    serve_status(*parts_);
    queue_->start();
    return {};
  }

 private:
  EtcdServerOptions options_;
  Access access_;
  Coordinator& coordinator_;
  Locks& locks_;
  coordination::WatchHub& hub_;
  store::Store& store_;
  EtcdServices services_;
  std::unique_ptr<EtcdParts> parts_;
  std::unique_ptr<GrpcQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<EtcdServer>> EtcdServer::start(EtcdServerOptions options, Access access,
                                                      Coordinator& coordinator, Locks& locks,
                                                      coordination::WatchHub& hub, store::Store& store) {
  auto server = std::make_unique<ServerImpl>(std::move(options), std::move(access), coordinator, locks, hub, store);
  EC_TRY(server->open());
  return server;
}

}  // namespace evercert::api
