// SPDX-License-Identifier: Apache-2.0
// Proof of control over a name: http-01 and dns-01 (RFC 8555 section 8), and CAA (RFC 8659).
#pragma once

#include <string>

#include "api/acme/jws.h"
#include "net/dns.h"
#include "net/http_client.h"

namespace evercert::api {

class Validator {
 public:
  virtual ~Validator() = default;
  // nullopt: proved. Otherwise the problem: connection, dns, incorrectResponse, unauthorized, caa.
  virtual Task<std::optional<AcmeError>> validate(Executor& on, std::string name, bool wildcard, std::string type,
                                                  std::string token, std::string key_authorization) = 0;
};

struct ValidatorOptions {
  std::string local_address, resolver, caa_identity;
  std::uint16_t http01_port = 80;
};
Result<std::unique_ptr<Validator>> make_validator(ValidatorOptions options);

}  // namespace evercert::api
