// SPDX-License-Identifier: Apache-2.0
// Node-to-node messages: gRPC streams over mutual TLS, one in each direction between any two nodes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/result.h"
#include "net/link_delay.h"
#include "net/tls.h"

namespace evercert::net {

struct PeerAddress {
  NodeId node;
  std::string address;
  std::uint16_t port = 0;
};

struct PeerTransportOptions {
  NodeId self;
  std::string cluster;         // name in the identities evercert://<cluster>/node/<id>
  std::string listen_address;  // also the source of every outgoing connection
  std::uint16_t listen_port = 0;
  TlsFiles tls;
  std::vector<PeerAddress> peers;
  LinkDelays delays;
  std::size_t queue_bytes = 64 << 20;  // waiting for one peer; beyond, new batches are dropped
};

// `from` is proved by the peer's certificate. Called on the transport's threads.
using OnBatch = std::function<void(NodeId from, std::string batch)>;

class PeerTransport {
 public:
  // kIo: the port is taken; kInvalid: TLS files.
  static Result<std::unique_ptr<PeerTransport>> start(PeerTransportOptions options, Random& random, OnBatch on_batch,
                                                      std::function<void(NodeId)> on_unreachable);
  virtual ~PeerTransport() = default;
  // Best effort, in order per peer. Any thread.
  virtual void send(NodeId to, std::string batch) = 0;
  virtual bool connected(NodeId node) const = 0;
  virtual std::uint64_t dropped() const = 0;  // batches, since the start
};

}  // namespace evercert::net
