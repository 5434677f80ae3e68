// SPDX-License-Identifier: Apache-2.0
// A secret in shares, of which any `threshold` give it back and fewer say nothing of it (Shamir, Communications of the
// ACM 1979), by libgfshare.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace evercert::keys {

struct Share {
  std::uint8_t number = 0;  // from 1; of one secret no two are equal
  std::string bytes;        // as long as the secret
};

// Chance comes from the system's CSPRNG. kInvalid: not 1 <= threshold <= count <= 255, or an empty secret.
Result<std::vector<Share>> split(const std::string& secret, std::uint8_t threshold, std::uint8_t count);
// From as many shares as the threshold was, or more; from fewer or wrong ones it gives something else.
// kInvalid: none, two with the same number, or of different lengths.
Result<std::string> combine(const std::vector<Share>& shares);

// A share as it lies in a file or travels: one line, "THRESHOLD NUMBER HEX".
struct MarkedShare {
  std::uint8_t threshold = 0;  // of the secret
  Share share;
};
std::string to_text(const MarkedShare& share);
Result<MarkedShare> parse_share(std::string_view text);  // kInvalid

}  // namespace evercert::keys
