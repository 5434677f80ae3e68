// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/address.h"

#include <charconv>

namespace evercert::traffic::dns {
namespace {

bool number(std::string_view text, int most, int& out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() && out >= 0 && out <= most;
}

}  // namespace

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
  const std::string host = evercert::to_string(address.address);
  return (address.address.v6 ? "[" + host + "]" : host) + ":" + std::to_string(address.port);
}

}  // namespace evercert::traffic::dns
