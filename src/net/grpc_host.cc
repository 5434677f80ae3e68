// SPDX-License-Identifier: Apache-2.0
#include "net/grpc_host.h"

#include <absl/synchronization/mutex.h>

#include "base/check.h"
#include "base/env.h"
#include "base/log.h"
#include "base/os/system.h"

namespace evercert::net {
namespace {

// Peers split what they say (store/engine_messages.cc). Services that want less check it.
constexpr int kLargestMessage = 16 << 20;
constexpr Duration kTimeToTell = 500ms, kTimeToEnd = 30s;

}  // namespace

Result<TlsPem> read_tls(const TlsFiles& files) {
  TlsPem pem;
  EC_ASSIGN(pem.ca, read_file(os::disk(), files.ca_bundle));
  EC_ASSIGN(pem.certificate, read_file(os::disk(), files.certificate_chain));
  EC_ASSIGN(pem.key, read_file(os::disk(), files.private_key));
  return pem;
}

void set_windows(const std::function<void(const char*, int)>& set) {
  set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 8 << 20);
  set(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1 << 20);
}

GrpcHost::GrpcHost() {
  // Debian's build of gRPC looks for cycles of locks at each one that it takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  builder_.SetMaxReceiveMessageSize(kLargestMessage);
  builder_.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder_.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 200);
  builder_.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  set_windows([&](const char* name, int value) { builder_.AddChannelArgument(name, value); });
  queue_ = std::make_unique<GrpcQueue>(builder_.AddCompletionQueue());
}

GrpcHost::~GrpcHost() {
  shutdown();
  stop();
}

Status GrpcHost::listen(const GrpcPort& port) {
  EC_ASSIGN(const auto pem, read_tls(port.tls));
  grpc::SslServerCredentialsOptions tls(port.certificate_required
                                            ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                            : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = pem.ca;
  tls.pem_key_cert_pairs.push_back({pem.key, pem.certificate});
  auto bound = std::make_unique<Bound>(Bound{port.whom, port.address + ":" + std::to_string(port.port)});
  builder_.AddListeningPort(bound->where, grpc::SslServerCredentials(tls), &bound->port);
  bound_.push_back(std::move(bound));
  return {};
}

void GrpcHost::serve(grpc::Service& service) { builder_.RegisterService(&service); }

Status GrpcHost::start() {
  server_ = builder_.BuildAndStart();
  for (const auto& bound : bound_) {
    if (!server_ || bound->port == 0)
      return fail(Code::kIo, "cannot listen for " + bound->whom + " on " + bound->where +
                                 ": the port is taken or TLS files are damaged");
  }
  queue_->start();
  return {};
}

void GrpcHost::drain(Duration patience) {
  queue_->calls().close();
  if (server_ && !queue_->calls().wait_answered(patience)) log_info("grpc: calls are left after the drain");
}

void GrpcHost::shutdown() {
  queue_->calls().give_up();
  if (!server_) return;
  // A moment for the answers to leave: who does not take his by then finds the connection closed.
  (void)queue_->calls().wait_answered(kTimeToTell);
  server_->Shutdown(std::chrono::system_clock::now());
}

void GrpcHost::stop() {
  // gRPC has ended what a call could wait for, so what is left is a call that forgot its own end: nothing may be begun
  // on the queue below, and it could begin something.
  if (server_) EC_CHECK(queue_->calls().wait_gone(kTimeToEnd), "a call outlives its server");
  queue_->stop();
}

}  // namespace evercert::net
