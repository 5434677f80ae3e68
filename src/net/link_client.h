// SPDX-License-Identifier: Apache-2.0
// The edge's end of links to nodes: many requests at once on one TLS connection per (thread, node).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/link_frames.h"
#include "net/tls.h"

namespace evercert::net {

struct LinkTarget {
  std::string address;  // numeric, also expected in the certificate
  std::uint16_t port = 0;
};

// What a node says of itself with its answers.
struct LinkLoad {
  int in_flight = 0;    // of all edges
  Duration waiting{0};  // so long what comes waits before the node looks at it
};

struct LinkClientOptions {
  std::string local_address;  // connections leave from here; empty: any
  TlsFiles tls;
  std::string expected;  // the peer's identity begins with this, e.g. evercert://<cluster>/node/
  std::vector<LinkTarget> targets;
  Duration connect_timeout = 1s;
  // While requests wait and nothing is heard: a ping after `ping_after`, the connection is given up after `silence`.
  Duration ping_after = 250ms, silence = 1500ms;
  Duration piece_timeout = 10s;  // of an answer in pieces the next one comes within this
  // Per connection; what would go beyond is refused as kUnavailable.
  std::size_t max_in_flight = 8192, max_waiting_bytes = 16 << 20;
  // By the target's number, on the link's thread; it may not call back. Empty: nobody wants to know.
  std::function<void(std::size_t, LinkLoad)> on_load = {};
};

// Thread-safe. Must outlive the HttpServers whose executors call it. A broken connection is made again when it is asked
// for: at once after a break, then with a growing pause.
class LinkClient {
 public:
  static Result<std::unique_ptr<LinkClient>> create(LinkClientOptions options);
  virtual ~LinkClient() = default;
  // Answers come in any order; HTTP statuses are answers. kUnavailable: the request was not written to the connection,
  // or only such limits stood against it: surely not processed. kUnknownOutcome: it may have been. On an executor of an
  // HttpServer it runs on that thread; otherwise on a thread of its own. A large answer comes in pieces
  // (HttpResponse::source), the first of which is there; on a thread of its own, whole. With `call.source`, which is on
  // an executor of an HttpServer alone, the timeout begins anew with each piece that leaves; nothing is asked of it
  // before there is a connection.
  virtual Task<Result<HttpResponse>> call(Executor& on, std::size_t target, const LinkCall& call, Duration timeout) = 0;
};

}  // namespace evercert::net
