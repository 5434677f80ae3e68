// SPDX-License-Identifier: Apache-2.0
// DNS over UDP: one socket, one thread, one handler.
#pragma once

#include <memory>

#include "base/env.h"
#include "traffic/dns/handler.h"
#include "traffic/dns/hub.h"
#include "traffic/dns/sockets.h"

namespace evercert::traffic::dns {

class UdpServer {
 public:
  // Begins at once. `hub` has a view, and outlives it. `any`: the socket is one of all addresses.
  static std::unique_ptr<UdpServer> start(Socket socket, bool any, std::unique_ptr<Handler> handler, const Hub& hub,
                                          MonotonicClock& clock);
  // Answers what it has taken in, ends the thread.
  virtual ~UdpServer() = default;
};

}  // namespace evercert::traffic::dns
