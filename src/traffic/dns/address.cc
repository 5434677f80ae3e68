// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace evercert::traffic::dns {
namespace {

bool number(std::string_view text, int most, int& out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() && out >= 0 && out <= most;
}

}  // namespace

Result<IpAddress> parse_address(std::string_view text) {
  IpAddress address;
  const std::string terminated(text);
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) return address;
  address.v6 = true;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
  return fail(Code::kInvalid, "'" + terminated + "' is no address: write it as 192.0.2.1 or 2001:db8::1");
}

Result<Prefix> parse_prefix(std::string_view text) {
  const auto slash = text.find('/');
  EC_ASSIGN(const IpAddress address, parse_address(text.substr(0, slash)));
  int length = address.bits();
  if (slash != std::string_view::npos && !number(text.substr(slash + 1), address.bits(), length)) {
    return fail(Code::kInvalid, "'" + std::string(text) + "' has no length of 0 to " + std::to_string(address.bits()) +
                                    " after the '/'");
  }
  const Prefix prefix = prefix_of(address, length);
  if (prefix.address != address) {
    return fail(Code::kInvalid, "'" + std::string(text) + "' has bits beyond its length: write " +
                                    to_string(prefix.address) + "/" + std::to_string(length));
  }
  return prefix;
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
  return text;
}

Prefix prefix_of(const IpAddress& address, int length) {
  Prefix prefix{address, std::min(length, address.bits())};
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(prefix.length - i * 8, 0, 8);
    prefix.address.bytes[static_cast<std::size_t>(i)] &= static_cast<std::uint8_t>(0xff00 >> kept);
  }
  return prefix;
}

Result<SocketAddress> parse_socket_address(std::string_view text) {
  const auto wrong = [&] {
    return fail(Code::kInvalid,
                "'" + std::string(text) + "' is no address with a port: write it as 192.0.2.1:53 or [2001:db8::1]:53");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  int port = 0;
  const auto address = parse_address(host);
  if (!address || address->v6 != bracketed || !number(text.substr(colon + 1), 65535, port)) return wrong();
  return SocketAddress{*address, static_cast<std::uint16_t>(port)};
}

std::string to_string(const SocketAddress& address) {
  const std::string host = to_string(address.address);
  return (address.address.v6 ? "[" + host + "]" : host) + ":" + std::to_string(address.port);
}

}  // namespace evercert::traffic::dns
