// SPDX-License-Identifier: Apache-2.0
// Serial numbers: one byte that names the home region of the record, then 120 random bits. Positive, 16 octets.
#pragma once

#include <string>
#include <string_view>

#include "base/env.h"
#include "base/ids.h"

namespace evercert::pki {

inline constexpr std::size_t kSerialRandomBytes = 15;

// `random_part`: 15 bytes of a CSPRNG (RFC 5280 section 4.1.2.2; the CA/Browser Forum asks for at least 64 bits).
inline std::string serial_of(RegionId home, std::string_view random_part) {
  return std::string(1, static_cast<char>(home.value)).append(random_part);
}
inline std::string make_serial(RegionId home, Random& random) {
  return serial_of(home, random.bytes(kSerialRandomBytes));
}

}  // namespace evercert::pki
