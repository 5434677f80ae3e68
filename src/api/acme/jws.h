// SPDX-License-Identifier: Apache-2.0
// JSON Web Signatures as ACME uses them (RFC 8555 section 6.2): flattened, one signature, strict members.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pki/public_key.h"

namespace evercert::api {

// RFC 8555 section 6.7: the part behind urn:ietf:params:acme:error:.
struct AcmeError {
  int status = 400;
  std::string type, detail;
  // Section 6.7.1: which of several identifiers, and why.
  struct Part {
    std::string type, detail, identifier_type, identifier_value;
  };
  std::vector<Part> parts = {};
  std::string location = {};  // section 7.3.5: of the account that has the key already
  std::string terms = {};     // section 7.3.3: URL of what is to be agreed to
};
template <class T>
using AcmeResult = std::expected<T, AcmeError>;

struct Jws {
  std::string signing_input, signature;
  pki::SignatureAlgorithm algorithm{};
  std::string nonce, url;
  std::string payload;                // decoded; empty for POST-as-GET
  std::string kid;                    // either this
  std::optional<pki::PublicKey> jwk;  // or this
  std::string jwk_text, thumbprint;   // canonical JWK (RFC 7638) and its SHA-256
};

// RFC 7518 names, as problems list them (RFC 8555 section 6.2).
const std::vector<std::string>& jws_algorithms();

// malformed, badSignatureAlgorithm, badPublicKey. The signature is not checked yet: the key may have to be looked up.
AcmeResult<Jws> parse_jws(const std::string& body);

struct Jwk {
  pki::PublicKey key;
  std::string canonical, thumbprint;
};
AcmeResult<Jwk> parse_jwk(const std::string& text);

}  // namespace evercert::api
