// SPDX-License-Identifier: Apache-2.0
// DNS over TCP (RFC 7766): one thread for all connections, which are bounded in number, in idle time and in bytes.
#pragma once

#include <memory>
#include <vector>

#include "base/env.h"
#include "traffic/dns/handler.h"
#include "traffic/dns/hub.h"
#include "traffic/dns/sockets.h"

namespace evercert::traffic::dns {

struct TcpLimits {
  std::size_t connections = 512;  // beyond, the one that has been idle for longest is closed
  std::size_t of_one_network = 64;
  Duration idle = 10s;             // since the last whole query
  Duration slow_query = 3s;        // from a query's first byte to its last
  std::size_t unsent = 256 << 10;  // who does not take its answers is not asked for more queries
};

class TcpServer {
 public:
  // Begins at once. `hub` has a view, and outlives it. kIo.
  static Result<std::unique_ptr<TcpServer>> start(std::vector<Socket> sockets, std::unique_ptr<Handler> handler,
                                                  const Hub& hub, MonotonicClock& clock, TcpLimits limits = {});
  virtual ~TcpServer() = default;
};

}  // namespace evercert::traffic::dns
