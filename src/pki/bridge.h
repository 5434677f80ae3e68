// SPDX-License-Identifier: Apache-2.0
// The crate pki_bridge, and bytes to and from it. For .cc files only.
#pragma once

#include <string_view>

#include "evercert-pki-bridge/src/lib.rs.h"

namespace evercert::pki {

inline rust::Slice<const std::uint8_t> octets(std::string_view bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}
inline std::string_view text(const rust::Vec<std::uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace evercert::pki
