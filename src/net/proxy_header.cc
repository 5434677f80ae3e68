// SPDX-License-Identifier: Apache-2.0
#include "net/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace evercert::net {
namespace {

using State = ProxyHeader::State;

constexpr std::string_view kSignature1 = "PROXY ", kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kLongestLine = 107;  // of version 1, with its end
constexpr std::size_t kFixed = 16;         // of version 2

ProxyHeader wrong() { return {}; }
ProxyHeader more() { return {State::kMore, 0, {}}; }

std::string address_text(int family, const void* bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return ::inet_ntop(family, bytes, text.data(), text.size()) != nullptr ? text.data() : "";
}

// In its one way of writing, so that it compares with what the kernel says of others.
std::optional<std::string> address(int family, std::string_view text) {
  std::array<unsigned char, 16> bytes;
  if (::inet_pton(family, std::string(text).c_str(), bytes.data()) != 1) return std::nullopt;
  return address_text(family, bytes.data());
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && (text.size() == 1 || text[0] != '0');
}

std::string_view word(std::string_view& line) {
  const auto space = line.find(' ');
  const std::string_view first = line.substr(0, space);
  line = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
  return first;
}

// PROXY TCP4 SOURCE DESTINATION PORT PORT
ProxyHeader read_line(std::string_view bytes) {
  const auto end = bytes.substr(0, kLongestLine).find("\r\n");
  if (end == std::string_view::npos) return bytes.size() < kLongestLine ? more() : wrong();
  std::string_view line = bytes.substr(kSignature1.size(), end - kSignature1.size());
  const std::string_view family = word(line);
  ProxyHeader out{State::kWhole, end + 2, {}};
  if (family == "UNKNOWN") return out;  // whatever follows
  if (family != "TCP4" && family != "TCP6") return wrong();
  const int kind = family == "TCP4" ? AF_INET : AF_INET6;
  const auto source = address(kind, word(line)), destination = address(kind, word(line));
  const std::string_view source_port = word(line), destination_port = line;
  if (!source || !destination || !is_port(source_port) || !is_port(destination_port)) return wrong();
  out.source = *source;
  return out;
}

ProxyHeader read_binary(std::string_view bytes) {
  if (bytes.size() < kFixed) return more();
  const auto at = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[i])); };
  const unsigned version = at(12) >> 4, command = at(12) & 15, family = at(13);
  const std::size_t size = kFixed + (at(14) << 8 | at(15));
  if (version != 2 || command > 1 || size > kLongestProxyHeader) return wrong();
  if (bytes.size() < size) return more();
  ProxyHeader out{State::kWhole, size, {}};
  if (command == 0 || family == 0) return out;
  switch (family) {
    case 0x11: {  // TCP over IPv4
      if (size < kFixed + 12) return wrong();
      out.source = address_text(AF_INET, bytes.data() + kFixed);
      return out;
    }
    case 0x21: {  // TCP over IPv6
      if (size < kFixed + 36) return wrong();
      out.source = address_text(AF_INET6, bytes.data() + kFixed);
      return out;
    }
    default: return wrong();  // datagrams and local sockets do not come here
  }
}

}  // namespace

ProxyHeader read_proxy_header(std::string_view bytes) {
  const std::string_view begin1 = bytes.substr(0, kSignature1.size()), begin2 = bytes.substr(0, kSignature2.size());
  if (begin1 == kSignature1) return read_line(bytes);
  if (begin2 == kSignature2) return read_binary(bytes);
  return kSignature1.starts_with(bytes) || kSignature2.starts_with(bytes) ? more() : wrong();
}

}  // namespace evercert::net
