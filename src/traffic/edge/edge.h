// SPDX-License-Identifier: Apache-2.0
// The regional edge: TLS in front, the region's nodes behind, other regions' edges when none of those is well.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address_prefix.h"
#include "base/env.h"
#include "net/http_client.h"
#include "net/link_delay.h"
#include "traffic/certificate/own_certificate.h"
#include "traffic/edge/backends.h"
#include "traffic/edge/guests.h"
#include "traffic/policy/door.h"

namespace evercert::traffic {

// The policies of an edge in front of nodes, which are asynchronous and write in batches: their answers take the longer
// the more is in flight, and more is done. So the limits begin higher than in front of a thread for each request, and
// 100 ms more are no queue yet.
inline UpstreamOptions edge_policies() {
  UpstreamOptions options;
  options.gradient.initial = 128;
  options.gradient.after_loss = 64;
  options.gradient.slack = 100ms;
  options.admission.queue_target = 20ms;  // the loop's own turns take some milliseconds when it is busy
  return options;
}

// Of the server that clients talk to; see net/http_server.h.
struct EdgeFront {
  std::string ticket_secret, access_log, handover;
  std::vector<AddressPrefix> proxies;
  std::size_t connections_per_client = 0;
  std::uint64_t largest_body = 1 << 30;  // of a request; what is above 256 KB goes through in pieces
};

// Of the certificate of the edge's own names, for clients that ask by one of them.
struct EdgeCertificate {
  OwnCertificateOptions own;              // an empty directory: the cluster's
  std::string directory_trust, resolver;  // for a directory of somebody else's
  std::vector<net::HttpTarget> edges;     // all others: a CA may come to any of them
};

// Whose requests come to one node, as long as that is well and has no more than its share (policy/sticky.h). What makes
// a session is in the store: another node goes on with it just as well, only with less at hand.
enum class Sticky : std::uint8_t {
  kOff,
  kAcme,  // of an ACME account
  kAll,   // also of a client's certificate, its token, its address
};

struct EdgeOptions {
  std::string region_name, cluster;
  RegionId region;
  std::string address;  // listens here; connections leave from here
  std::uint16_t https_port = 0, http_port = 0;
  net::TlsFiles tls;
  std::vector<EdgeEndpoint> nodes, other_edges;
  Duration check_interval = 5s, check_timeout = 2s;
  UpstreamOptions policies = edge_policies();
  DoorOptions door;
  GuestOptions guests;
  Sticky sticky = Sticky::kAcme;
  double canary_percent = 0;  // of the requests, to the nodes that run a new release
  std::string canary_file;    // what has become of it (canary_file.h); empty: a new process does not know
  // Where an operator asks and changes things, without a password: a loopback address. Empty: nowhere.
  std::string admin_address;
  std::uint16_t admin_port = 0;
  net::LinkDelays delays;
  Duration request_timeout = 12s;
  int threads = 1;
  Duration busy_poll = Duration{0};
  EdgeFront front;
  std::optional<EdgeCertificate> certificate;
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
