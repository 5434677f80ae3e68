// SPDX-License-Identifier: Apache-2.0
// Internet addresses and prefixes as values: what clients, edges and tables are told apart by. Pure.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace evercert::traffic::dns {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  // in network order; of IPv4 the first four, the rest is zero
  bool v6 = false;

  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;
  int bits() const { return v6 ? 128 : 32; }
  std::size_t size() const { return v6 ? 16 : 4; }
  bool bit(int at) const { return (bytes[static_cast<std::size_t>(at) / 8] >> (7 - at % 8) & 1) != 0; }
};

struct Prefix {
  IpAddress address;  // bits beyond the length are zero
  int length = 0;
  friend constexpr auto operator<=>(const Prefix&, const Prefix&) = default;
};

// kInvalid: no numeric address.
Result<IpAddress> parse_address(std::string_view text);
// "192.0.2.0/24", "2001:db8::/32"; an address alone is a prefix of its whole length. kInvalid: also when bits beyond
// the length are set, which is mostly a slip of the pen.
Result<Prefix> parse_prefix(std::string_view text);
std::string to_string(const IpAddress& address);

// The first `length` bits of it; the whole when there are not so many.
Prefix prefix_of(const IpAddress& address, int length);

// "ADDRESS:PORT", "[ADDRESS]:PORT". kInvalid.
struct SocketAddress {
  IpAddress address;
  std::uint16_t port = 0;
};
Result<SocketAddress> parse_socket_address(std::string_view text);
std::string to_string(const SocketAddress& address);

}  // namespace evercert::traffic::dns
