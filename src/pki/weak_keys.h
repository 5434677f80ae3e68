// SPDX-License-Identifier: Apache-2.0
// RSA keys that are weak although long enough.
#pragma once

#include <string_view>

#include "base/result.h"

namespace evercert::pki {

// Refused with kUnsupported and the reason: exponent below 65537 or even; small factors; ROCA (CVE-2017-15361, by the
// fingerprint of Nemec et al.); primes so close that Fermat's method finds them in 100 steps. Big-endian numbers.
// Debian's 2008 blacklists are no longer packaged; those keys had at most 2^17 values per size and their
// fingerprints would have to be kept by us, so they are not checked.
Status check_rsa_strength(std::string_view modulus, std::string_view exponent);

}  // namespace evercert::pki
