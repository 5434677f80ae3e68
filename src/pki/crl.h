// SPDX-License-Identifier: Apache-2.0
// Certificate revocation lists (RFC 5280 section 5).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pki/signer.h"

namespace evercert::pki {

struct CrlEntry {
  std::string serial;
  std::int64_t revoked_at = 0;  // seconds
  int reason = 0;
};

// DER. `issuer_certificate_der` must belong to the signer.
Result<std::string> make_crl(std::string_view issuer_certificate_der, const Signer& signer, std::uint64_t number,
                             std::int64_t this_update, std::int64_t next_update, const std::vector<CrlEntry>& entries);

struct CrlFacts {
  std::uint64_t number = 0;
  std::int64_t this_update = 0, next_update = 0;
  std::vector<CrlEntry> entries;
};
// kInvalid: does not parse, or is not signed by the issuer.
Result<CrlFacts> read_crl(std::string_view der, std::string_view issuer_certificate_der);

// RFC 5280 names: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn.
// kInvalid names those that are accepted for leaf certificates.
Result<int> reason_from_name(std::string_view name);
std::string_view reason_name(int reason);
bool reason_accepted(int reason);

}  // namespace evercert::pki
