// SPDX-License-Identifier: Apache-2.0
// What libFuzzer hands over, as a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace evercert::fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace evercert::fuzz
