// SPDX-License-Identifier: Apache-2.0
// The one gRPC server of a process, with one completion queue and one thread for all its ports and for the client
// streams of the process. gRPC 1.51 has one set of polled sockets for all queues: a second thread would take turns at
// it with the first, and each message would wake both.
//
// Every port serves every service. Who a caller is says the caller's certificate or token, never the port: each
// service checks it itself.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/grpc_queue.h"
#include "net/tls.h"

namespace evercert::net {

struct TlsPem {
  std::string ca, certificate, key;
};
Result<TlsPem> read_tls(const TlsFiles& files);

// Windows that a batch always fits: no probing of the bandwidth, which costs pings and window updates at each batch.
void set_windows(const std::function<void(const char* channel_argument, int value)>& set);

struct GrpcPort {
  std::string address;
  std::uint16_t port = 0;
  TlsFiles tls;
  bool certificate_required = false;  // else welcome; checked by the CA bundle in either case
  std::string whom;                   // for the error when the port is taken: "peers"
};

// In etcd's words: its clients go on elsewhere.
inline const grpc::Status& server_stopped() {
  static const grpc::Status status{grpc::StatusCode::UNAVAILABLE, "etcdserver: server stopped"};
  return status;
}

class GrpcHost {
 public:
  GrpcHost();
  ~GrpcHost();

  // Before start().
  Status listen(const GrpcPort& port);    // kInvalid: TLS files
  void serve(grpc::Service& service);     // outlives the host
  GrpcQueue& queue() { return *queue_; }  // nothing comes up before start()
  // kIo: a port is taken. Calls wait until their services ask for them.
  Status start();
  // Of the listeners in order, after start(): what port 0 became.
  std::uint16_t port(std::size_t listener) const { return static_cast<std::uint16_t>(bound_.at(listener)->port); }

  // The end, in this order, by the owner. Callers of a server that ends are told server_stopped().
  //
  // New calls are refused, those that wait for what others do are ended; the rest has `patience` to be answered.
  void drain(Duration patience);
  // Ends every call that is left and closes the ports. Whoever answers calls need not work any more.
  void shutdown();
  // Ends the thread. Streams of this process's own must have ended.
  void stop();

 private:
  struct Bound {
    std::string whom, where;
    int port = 0;
  };
  grpc::ServerBuilder builder_;
  std::vector<std::unique_ptr<Bound>> bound_;
  std::unique_ptr<GrpcQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace evercert::net
