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
#include "net/grpc_host.h"
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
  std::string cluster_id;      // as the store has it: 16 bytes, and text when its quorum was made anew
  std::uint64_t start_id = 0;  // of this process: grows with every start (wall time in ms)
  std::string listen_address;  // also the source of every outgoing connection
  std::uint16_t listen_port = 0;
  TlsFiles tls;
  std::vector<PeerAddress> peers;
  LinkDelays delays;
  std::size_t queue_bytes = 64 << 20;  // waiting for one peer; beyond, new batches are dropped
};

// `from` is proved by the peer's certificate. Called on the host's thread.
using OnBatch = std::function<void(NodeId from, std::string batch)>;

// Before the host goes: close(), the host's shutdown(), wait_ended(), the host's stop().
class PeerTransport {
 public:
  // Before the host starts; the host outlives the transport. kInvalid: TLS files. `on_duplicate` is called when this
  // process must stop, since an earlier one with the same identity runs (peer_door.h).
  static Result<std::unique_ptr<PeerTransport>> create(PeerTransportOptions options, GrpcHost& host, Random& random,
                                                       OnBatch on_batch,
                                                       const std::function<void(NodeId)>& on_unreachable,
                                                       const std::function<void(Error)>& on_duplicate);
  virtual ~PeerTransport() = default;
  // After the host has started: peers may deliver.
  virtual void begin() = 0;
  // Nothing is sent any more, no more peers are let in.
  virtual void close() = 0;
  virtual void wait_ended() = 0;  // until the last peer's stream has ended
  // These are peers too, from now on; those that are known stay as they are. Any thread.
  virtual void add(const std::vector<PeerAddress>& peers) = 0;
  // Best effort, in order per peer. Any thread, until close().
  virtual void send(NodeId to, std::string batch) = 0;
  virtual bool connected(NodeId node) const = 0;
  virtual std::uint64_t dropped() const = 0;  // batches, since the start
};

}  // namespace evercert::net
