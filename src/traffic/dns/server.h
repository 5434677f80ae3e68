// SPDX-License-Identifier: Apache-2.0
// The authoritative server of a zone: checks, sockets, and a status page.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "traffic/dns/brain.h"
#include "traffic/dns/check_plan.h"
#include "traffic/dns/checker.h"
#include "traffic/dns/handler.h"
#include "traffic/dns/sockets.h"
#include "traffic/dns/tcp_server.h"

namespace evercert::traffic::dns {

struct ServerOptions {
  std::vector<RegionFacts> regions;
  Policy policy = Policy::kWeightedLatency;
  BrainRules rules;
  CheckerOptions checks;
  ZoneOptions zone;
  std::string records_path, records;  // a master file of further records, and what is in it
  std::unique_ptr<Geography> geography;
  std::unique_ptr<Signer> signer;  // null: not signed
  ResponderOptions responder;
  RateLimits limits;
  TcpLimits tcp;
  std::vector<SocketAddress> listen;
  int threads = 1;  // of UDP, for each address
  SocketAddress status;
  std::optional<SocketAddress> powerdns;  // where PowerDNS asks (powerdns.h)
};

class Server {
 public:
  // Answers when it returns, from all regions as if they were well until checks say otherwise. kInvalid, kIo.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, MonotonicClock& clock, WallClock& wall,
                                               Random& random);
  virtual ~Server() = default;
  // As they are bound; ports that were 0 have become those that the system chose.
  virtual const std::vector<SocketAddress>& listening() const = 0;
  virtual std::uint16_t status_port() const = 0;
  virtual std::optional<std::uint16_t> powerdns_port() const = 0;
};

}  // namespace evercert::traffic::dns
