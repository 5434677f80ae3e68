// SPDX-License-Identifier: Apache-2.0
// The regional edge: TLS in front, the region's nodes behind, other regions' edges when none of those is well.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/address_prefix.h"
#include "base/env.h"
#include "net/http_client.h"
#include "net/link_delay.h"
#include "traffic/policy/endpoint_health.h"

namespace evercert::traffic {

struct EdgeEndpoint {
  net::HttpTarget target;  // of a node: where it listens for links
  RegionId region;         // of another region's edge; the own region for nodes
};

// Of the server that clients talk to; see net/http_server.h.
struct EdgeFront {
  std::string ticket_secret, access_log, handover;
  std::vector<AddressPrefix> proxies;
  std::size_t connections_per_client = 0;
};

struct EdgeOptions {
  std::string region_name, cluster;
  RegionId region;
  std::string address;  // listens here; connections leave from here
  std::uint16_t https_port = 0, http_port = 0;
  net::TlsFiles tls;
  std::vector<EdgeEndpoint> nodes, other_edges;
  Duration check_interval = 5s, check_timeout = 2s;
  HealthThresholds thresholds;
  net::LinkDelays delays;
  Duration request_timeout = 12s;
  int threads = 1;
  EdgeFront front;
};

class Edge {
 public:
  static Result<std::unique_ptr<Edge>> start(EdgeOptions options, MonotonicClock& clock, Random& random);
  virtual ~Edge() = default;
  // Takes over what has changed in the certificate's files, opens the access log anew.
  virtual void reload() = 0;
  // Another edge process serves in this one's place: this one is to drain and end.
  virtual bool handed_over() const = 0;
  virtual void drain(Duration patience) = 0;
};

}  // namespace evercert::traffic
