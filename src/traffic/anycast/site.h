// SPDX-License-Identifier: Apache-2.0
// A site that attracts an anycast address's traffic while it is ready: checks, the decision (announcer.h) and BIRD.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "net/http_client.h"
#include "traffic/anycast/announcer.h"

namespace evercert::traffic::anycast {

struct Service {
  std::string name;  // for the log
  net::HttpTarget target;
};

struct SiteOptions {
  std::vector<Service> services;
  net::TlsFiles tls;  // whom they prove themselves to
  Duration interval = 1s, timeout = 1s;
  AnnounceRules rules;
  std::string bird_socket, protocol;
  std::string status_address;  // of the status page and /metrics
  std::uint16_t status_port = 0;
};

class Site {
 public:
  // The route is withdrawn when it returns, and announced by and by. Errors as Bird::up(), and kIo: the status port.
  static Result<std::unique_ptr<Site>> start(SiteOptions options, MonotonicClock& clock);
  // Withdraws the route, so that traffic has gone elsewhere before what serves it ends.
  virtual ~Site() = default;
  virtual std::uint16_t status_port() const = 0;
};

}  // namespace evercert::traffic::anycast
