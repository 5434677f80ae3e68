// SPDX-License-Identifier: Apache-2.0
// The http-01 challenge (RFC 8555 section 8.3): what a host serves under a token.
#pragma once

#include <optional>
#include <string>

#include "api/acme/validator.h"

namespace evercert::api {

class Http01 {
 public:
  Http01(net::DnsResolver& dns, net::HttpClient& client, std::uint16_t port)
      : dns_(dns), client_(client), port_(port) {}
  // nullopt: the host serves the key authorization, at once or where its redirects lead.
  Task<std::optional<AcmeError>> check(Executor& on, const ValidationRequest& request);

 private:
  struct Place {
    bool tls = false;
    std::string host, path;
    std::uint16_t port = 0;
  };
  Result<Place> redirected(const Place& from, const std::string& location) const;
  Task<Result<std::string>> address_of(Executor& on, const ValidationRequest& request, const Place& place);
  Task<Result<net::HttpResponse>> fetch(Executor& on, Place place, std::string address);

  net::DnsResolver& dns_;
  net::HttpClient& client_;
  std::uint16_t port_;
};

}  // namespace evercert::api
