// SPDX-License-Identifier: Apache-2.0
// IP addresses and their prefixes as values: 192.0.2.1, 192.0.2.0/24, 2001:db8::/32. Pure.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace evercert {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  // in network order; of IPv4 the first four, the rest is zero
  bool v6 = false;

  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;
  int bits() const { return v6 ? 128 : 32; }
  std::size_t size() const { return v6 ? 16 : 4; }
  bool bit(int at) const { return (bytes[static_cast<std::size_t>(at) / 8] >> (7 - at % 8) & 1) != 0; }
};

// As inet_pton reads it, and nothing around it. kInvalid: no numeric address.
Result<IpAddress> parse_address(std::string_view text);
std::string to_string(const IpAddress& address);
// An IPv4 address that a socket for both families writes as an IPv6 one (::ffff:192.0.2.1) is the IPv4 address.
IpAddress unmapped(const IpAddress& address);

struct AddressPrefix {
  IpAddress address;  // bits beyond the length are zero
  int length = 0;

  friend constexpr auto operator<=>(const AddressPrefix&, const AddressPrefix&) = default;
  // An address alone is a prefix of its whole length. kInvalid: the message quotes it; also when bits beyond the length
  // are set, which is mostly a slip of the pen.
  static Result<AddressPrefix> parse(std::string_view text);
  // An IPv4 address in an IPv6 one counts as IPv4. False for what is no address.
  bool contains(std::string_view address) const;
};

// The first `length` bits of it; the whole when there are not so many.
AddressPrefix prefix_of(const IpAddress& address, int length);

// What of a client's address one holder of addresses can hardly change: the first 24 bits of an IPv4 address, 48 of an
// IPv6 one (what a site commonly is given, RFC 6177 section 2).
inline constexpr int kNetworkBits4 = 24, kNetworkBits6 = 48;
// kInvalid: no address.
Result<AddressPrefix> network_of(std::string_view address);
// Those who are likely one client: an IPv4 address, the /64 of an IPv6 address. As bytes; empty: no address.
std::string client_of(std::string_view address);

}  // namespace evercert
