// SPDX-License-Identifier: Apache-2.0
// Proof of control over an identifier: http-01 and dns-01 (RFC 8555 section 8; addresses: RFC 8738), tls-alpn-01 (RFC
// 8737), and CAA (RFC 8659, 8657).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/acme/jws.h"
#include "base/env.h"
#include "net/dns.h"
#include "net/http_client.h"
#include "net/tls_probe.h"

namespace evercert::api {

struct ValidationRequest {
  std::string identifier_type, identifier;  // "dns" or "ip"; without the wildcard label
  bool wildcard = false;
  std::string type;  // of the challenge
  std::string token, key_authorization;
  std::string account_id{};
};

class Validator {
 public:
  virtual ~Validator() = default;
  // nullopt: proved. Otherwise the problem: connection, dns, tls, incorrectResponse, unauthorized, caa.
  virtual Task<std::optional<AcmeError>> validate(Executor& on, ValidationRequest request) = 0;
  // Of a name that was proved a while ago: whether its CAA records still let us issue. nullopt: they do.
  virtual Task<std::optional<AcmeError>> still_allowed(Executor& on, ValidationRequest request) = 0;
};

struct ValidatorOptions {
  std::string local_address, resolver, caa_identity;
  std::uint16_t http01_port = 80, tls_alpn01_port = 443;
};
Result<std::unique_ptr<Validator>> make_validator(ValidatorOptions options, MonotonicClock& clock);
// Over a given resolver and clients.
std::unique_ptr<Validator> make_validator(ValidatorOptions options, std::unique_ptr<net::DnsResolver> dns,
                                          std::unique_ptr<net::HttpClient> client, std::unique_ptr<net::TlsProbe> tls,
                                          MonotonicClock& clock);

}  // namespace evercert::api
