// SPDX-License-Identifier: Apache-2.0
// The http-01 challenge (RFC 8555 section 8.3): what a host serves under a token.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/acme/validator.h"
#include "base/task_scope.h"

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
  using Addresses = std::vector<std::string>;
  Task<Result<Addresses>> addresses_of(Executor& on, const ValidationRequest& request, const Place& place);
  Task<Result<net::HttpResponse>> fetch(Executor& on, const Place& place, const Addresses& addresses);

  net::DnsResolver& dns_;
  net::HttpClient& client_;
  std::uint16_t port_;
  TaskScope lookups_;
};

}  // namespace evercert::api
