// SPDX-License-Identifier: Apache-2.0
// Text forms of bytes (RFC 4648) and the checksum of everything we put on a disk or a wire.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace evercert {

std::string to_hex(std::string_view bytes);                 // lower case
Result<std::string> from_hex(std::string_view text);        // either case; kInvalid
std::string to_base64(std::string_view bytes);              // padded
Result<std::string> from_base64(std::string_view text);     // padded or not, no white space; kInvalid
std::string to_base64url(std::string_view bytes);           // not padded (RFC 7515 section 2)
Result<std::string> from_base64url(std::string_view text);  // refuses padding and foreign characters; kInvalid

// CRC-32C (Castagnoli), of `seed`'s bytes followed by `bytes`.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

std::string sha1(std::string_view bytes);    // 20 bytes; for what formats of others demand
std::string sha256(std::string_view bytes);  // 32 bytes
std::string sha384(std::string_view bytes);  // 48 bytes

}  // namespace evercert
