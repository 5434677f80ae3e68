// SPDX-License-Identifier: Apache-2.0
// The certificate that proves a name by tls-alpn-01 (RFC 8737 section 3). Pure but for the key that it makes.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace evercert::traffic {

// Key and certificate (PEM): signed by itself, for the DNS name alone, with `digest` (32 bytes: SHA-256 of the key
// authorization) as its critical acmeIdentifier; valid an hour before and after `now`. kInvalid: no name or no digest.
Result<std::string> make_alpn_proof(const std::string& name, std::string_view digest, WallTime now);

}  // namespace evercert::traffic
