// SPDX-License-Identifier: Apache-2.0
// What a cluster file says to the store of a node and to its streams to other nodes, whatever else the node does.
#pragma once

#include <vector>

#include "config/config.h"
#include "net/peer_transport.h"
#include "store/runtime.h"

namespace evercert::node {

// `may_found`: see founding.h.
store::RuntimeOptions runtime_options(const config::ClusterConfig& config, const config::NodeConfig& self,
                                      const std::string& data_dir, bool may_found);
net::PeerTransportOptions transport_options(const config::ClusterConfig& config, const config::RegionConfig& region,
                                            const config::NodeConfig& self, store::Runtime& store);
net::TlsFiles tls_of(const config::ClusterConfig& config, const config::RegionConfig& region,
                     const config::NodeConfig& self);
// Nodes that were added while the cluster runs, and which the cluster file need not name: where they are reached.
std::vector<net::PeerAddress> added_peers(const store::v1::Membership& membership);

}  // namespace evercert::node
