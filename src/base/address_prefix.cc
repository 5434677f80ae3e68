// SPDX-License-Identifier: Apache-2.0
#include "base/address_prefix.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace evercert {

Result<IpAddress> parse_address(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  IpAddress address;
  // A zero byte would end the text early for inet_pton, and what follows it would go unread.
  if (text.size() < sizeof terminated && text.find('\0') == std::string_view::npos) {
    std::ranges::copy(text, terminated);
    if (inet_pton(AF_INET, terminated, address.bytes.data()) == 1) return address;
    address.v6 = true;
    if (inet_pton(AF_INET6, terminated, address.bytes.data()) == 1) return address;
  }
  return fail(Code::kInvalid,
              "'" + std::string(text.substr(0, 64)) + "' is no address: write it as 192.0.2.1 or 2001:db8::1");
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
  return text;
}

IpAddress unmapped(const IpAddress& address) {
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!address.v6 || !std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin())) return address;
  IpAddress out;
  std::copy_n(address.bytes.begin() + kMapped.size(), 4, out.bytes.begin());
  return out;
}

Result<AddressPrefix> AddressPrefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  EC_ASSIGN(const IpAddress address, parse_address(text.substr(0, slash)));
  const std::string quoted = "'" + std::string(text.substr(0, 64)) + "'";
  int length = address.bits();
  if (slash != std::string_view::npos) {
    const std::string_view bits = text.substr(slash + 1);
    const auto parsed = std::from_chars(bits.data(), bits.data() + bits.size(), length);
    if (parsed.ec != std::errc{} || parsed.ptr != bits.data() + bits.size() || length < 0 || length > address.bits())
      return fail(Code::kInvalid,
                  quoted + " has no length of 0 to " + std::to_string(address.bits()) + " after the '/'");
  }
  const AddressPrefix prefix = prefix_of(address, length);
  if (prefix.address != address)
    return fail(Code::kInvalid, quoted + " has bits beyond its length: write " + to_string(prefix.address) + "/" +
                                    std::to_string(length));
  return prefix;
}

bool AddressPrefix::contains(std::string_view text) const {
  const auto parsed = parse_address(text);
  if (!parsed) return false;
  const IpAddress of = unmapped(*parsed);
  return of.v6 == address.v6 && prefix_of(of, length).address == address;
}

AddressPrefix prefix_of(const IpAddress& address, int length) {
  AddressPrefix prefix{address, std::min(length, address.bits())};
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(prefix.length - i * 8, 0, 8);
    prefix.address.bytes[static_cast<std::size_t>(i)] &= static_cast<std::uint8_t>(0xff00 >> kept);
  }
  return prefix;
}

Result<AddressPrefix> network_of(std::string_view text) {
  EC_ASSIGN(const IpAddress parsed, parse_address(text));
  const IpAddress address = unmapped(parsed);
  return prefix_of(address, address.v6 ? kNetworkBits6 : kNetworkBits4);
}

std::string client_of(std::string_view text) {
  const auto parsed = parse_address(text);
  if (!parsed) return {};
  const IpAddress address = unmapped(*parsed);
  return {address.bytes.begin(), address.bytes.begin() + (address.v6 ? 8 : 4)};
}

}  // namespace evercert
