// SPDX-License-Identifier: Apache-2.0
// How clients name a certificate (RFC 9773 section 4.1).
#pragma once

#include <string>
#include <string_view>

#include "api/acme/jws.h"

namespace evercert::api {

// Two parts in base64url with a dot between them.
struct CertificateId {
  std::string authority_key_id, serial;  // big-endian, no leading zeros
};
// malformed.
AcmeResult<CertificateId> parse_certificate_id(std::string_view text);
}  // namespace evercert::api
