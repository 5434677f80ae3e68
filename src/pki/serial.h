// SPDX-License-Identifier: Apache-2.0
// Serial numbers: one byte that names the home region of the record, then 120 random bits. Positive, 16 octets.
#pragma once

#include <string>

#include "base/env.h"
#include "base/ids.h"

namespace evercert::pki {

inline std::string make_serial(RegionId home, Random& random) {
  return std::string(1, static_cast<char>(home.value)) + random.bytes(15);
}

}  // namespace evercert::pki
