// SPDX-License-Identifier: Apache-2.0
// Where servers listen, as values. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/address_prefix.h"

namespace evercert::traffic::dns {

// "ADDRESS:PORT", "[ADDRESS]:PORT". kInvalid.
struct SocketAddress {
  IpAddress address;
  std::uint16_t port = 0;
};
Result<SocketAddress> parse_socket_address(std::string_view text);
std::string to_string(const SocketAddress& address);

}  // namespace evercert::traffic::dns
