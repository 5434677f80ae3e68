// SPDX-License-Identifier: Apache-2.0
// What signs: a key in this process or in an HSM. The pki module decides what is signed, the keys module how.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace evercert::pki {

// Thread-safe.
class Signer {
 public:
  virtual ~Signer() = default;
  // The X.509 signature value (DER for ECDSA) over `tbs`, hashed as the algorithm wants. kUnavailable: the key cannot
  // be used now (HSM gone); nothing was signed.
  virtual Result<std::string> sign(std::string_view tbs) const = 0;
  virtual const std::string& spki_der() const = 0;
  // AlgorithmIdentifier, as it stands in certificates (RFC 5280 section 4.1.1.2).
  virtual const std::string& algorithm_der() const = 0;
};

}  // namespace evercert::pki
