// SPDX-License-Identifier: Apache-2.0
// The same zone and choices for PowerDNS (remote backend, HTTP connector: doc.powerdns.com/authoritative/backends/
// remote.html): it has the sockets, the caches and the keys; what is true of the regions it asks here. Without sockets.
// One thread.
#pragma once

#include <memory>

#include "net/http.h"
#include "traffic/dns/responder.h"

namespace evercert::traffic::dns {

class PowerDns {
 public:
  // Paths begin with this, as in PowerDNS's connection string.
  static constexpr std::string_view kBase = "/dns";
  static constexpr int kZoneId = 1;

  // `zone` outlives it. The responder needs no signer.
  PowerDns(const Zone& zone, Responder responder) : zone_(zone), responder_(std::move(responder)) {}
  void use(std::shared_ptr<const View> view, WallTime now);
  // lookup, getAllDomains, getDomainInfo, getAllDomainMetadata, getDomainMetadata, getDomainKeys. What else it asks
  // for,
  // `{"result": false}`; 400: not what PowerDNS would send; 404: another path; 405.
  net::HttpResponse answer(const net::HttpRequest& request);

 private:
  net::HttpResponse lookup(std::string_view name, std::string_view type, const net::Headers& headers);
  std::string domain() const;

  const Zone& zone_;
  Responder responder_;
  std::uint64_t serial_ = 0;
};

}  // namespace evercert::traffic::dns
