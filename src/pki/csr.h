// SPDX-License-Identifier: Apache-2.0
// Certification requests (PKCS #10, RFC 2986), checked: what comes out may be certified as far as its form goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pki/names.h"
#include "pki/public_key.h"

namespace evercert::pki {

inline constexpr std::size_t kMaxCsrBytes = 64 * 1024;

struct Csr {
  PublicKey key;
  std::vector<Name> names;  // sorted, unique; a CN that is a DNS name or address is among them
  std::string common_name;  // may be empty
};

// DER. kInvalid: malformed, wrong signature, bad names. kUnsupported: a key that is not accepted. The message says what
// to change.
Result<Csr> parse_csr(std::string_view der);
Result<Csr> parse_csr_pem(std::string_view pem);

}  // namespace evercert::pki
