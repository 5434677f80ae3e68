// SPDX-License-Identifier: Apache-2.0
// Puts DER elements together. No parsing: that is OpenSSL's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evercert::pki::der {

inline constexpr std::uint8_t kInteger = 0x02, kBitString = 0x03, kOctetString = 0x04, kEnumerated = 0x0a,
                              kUtf8String = 0x0c, kUtcTime = 0x17, kGeneralizedTime = 0x18, kSequence = 0x30,
                              kSet = 0x31;
constexpr std::uint8_t context(int n) { return static_cast<std::uint8_t>(0xa0 | n); }  // constructed

std::string wrap(std::uint8_t tag, std::string_view content);
// Tag and length of an element whose `size` octets of content the caller appends.
void begin(std::string& out, std::uint8_t tag, std::size_t size);
// A signature value as BIT STRING.
std::string bit_string(std::string_view content);
// UTCTime until 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5). Seconds since 1970.
std::string time(std::int64_t seconds);
std::string generalized_time(std::int64_t seconds);
// A non-negative INTEGER from big-endian bytes.
std::string integer(std::string_view big_endian);

}  // namespace evercert::pki::der
