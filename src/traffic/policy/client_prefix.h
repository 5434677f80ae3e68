// SPDX-License-Identifier: Apache-2.0
// What of a client's address one holder of addresses can hardly change: the first 24 bits of an IPv4 address, 48 of an
// IPv6 one (what a site commonly is given, RFC 6177 section 2). Pure, without state.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace evercert::traffic {

struct ClientPrefix {
  bool v6 = false;
  std::array<std::uint8_t, 6> bytes{};  // 3 of IPv4, the rest zero
  friend bool operator==(const ClientPrefix&, const ClientPrefix&) = default;
  // For a table of keys: 7 bytes.
  std::array<char, 7> key() const;
};

// Of an address in text, as inet_pton reads it. An IPv4 address written as an IPv6 one (::ffff:192.0.2.1, what a socket
// for both says) is the IPv4 address. kInvalid: no address, or one with anything else around it.
Result<ClientPrefix> prefix_of(std::string_view address);

}  // namespace evercert::traffic
