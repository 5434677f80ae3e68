// SPDX-License-Identifier: Apache-2.0
// A node's end of links: lets in edges of its own cluster and hands their requests to handlers.
#pragma once

#include <memory>
#include <string>

#include "net/http.h"
#include "net/tls.h"

namespace evercert::net {

struct LinkServerOptions {
  std::string address;
  std::uint16_t port = 0;  // 0: any free one
  TlsFiles tls;
  std::string admitted;  // identities of clients that are let in begin with this, e.g. evercert://<cluster>/edge/
  int threads = 1;
  std::size_t max_connections = 256;
  // Per connection. In flight beyond: answered 503 at once. Waiting to be taken in by the edge beyond: no more requests
  // are read.
  std::size_t max_in_flight = 16384, max_waiting_bytes = 32 << 20;
  Duration handshake_timeout = 5s;
};

class LinkServer {
 public:
  // `requests` takes what clients of the edge asked, as HttpServer would hand it over; client_identity is the edge's.
  // `questions` takes what the edge asks for itself: `target` says what, `method` is empty. Both run on a thread of the
  // server, given as the request's executor.
  // kIo: the port is taken; kInvalid: a TLS file is damaged.
  static Result<std::unique_ptr<LinkServer>> start(LinkServerOptions options, HttpHandler requests,
                                                   HttpHandler questions);
  virtual ~LinkServer() = default;
  virtual std::uint16_t port() const = 0;
  // New requests are refused with 503 (an edge takes them elsewhere); waits at most `patience` for those under way.
  virtual void drain(Duration patience) = 0;
  // As HttpServer::stop().
  virtual void stop(Duration patience) = 0;
};

}  // namespace evercert::net
