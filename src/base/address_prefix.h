// SPDX-License-Identifier: Apache-2.0
// Prefixes of IP addresses: 192.0.2.0/24, 2001:db8::/32, or a single address. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace evercert {

class AddressPrefix {
 public:
  // kInvalid: the message quotes it.
  static Result<AddressPrefix> parse(std::string_view text);
  // `address`: as inet_ntop writes it. An IPv4 address that came in an IPv6 one (::ffff:192.0.2.1) counts as IPv4.
  bool contains(std::string_view address) const;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  int family_ = 0, bits_ = 0;
};

// Those who are likely one client: an IPv4 address, the /64 of an IPv6 address.
std::string client_of(std::string_view address);

}  // namespace evercert
