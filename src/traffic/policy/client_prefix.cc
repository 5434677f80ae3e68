// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/client_prefix.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace evercert::traffic {

std::array<char, 7> ClientPrefix::key() const {
  std::array<char, 7> out{};
  out[0] = v6 ? '6' : '4';
  std::memcpy(out.data() + 1, bytes.data(), bytes.size());
  return out;
}

Result<ClientPrefix> prefix_of(std::string_view address) {
  char text[INET6_ADDRSTRLEN] = {};
  // A zero byte would end the text early for inet_pton, and what follows it would go unread.
  if (address.empty() || address.size() >= sizeof text || address.find('\0') != std::string_view::npos)
    return fail(Code::kInvalid, "not an IP address");
  std::memcpy(text, address.data(), address.size());
  ClientPrefix out;
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, text, bytes.data()) == 1) {
    std::copy_n(bytes.begin(), 3, out.bytes.begin());
    return out;
  }
  if (inet_pton(AF_INET6, text, bytes.data()) != 1) return fail(Code::kInvalid, "not an IP address");
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {
    std::copy_n(bytes.begin() + kMapped.size(), 3, out.bytes.begin());
    return out;
  }
  out.v6 = true;
  std::copy_n(bytes.begin(), 6, out.bytes.begin());
  return out;
}

}  // namespace evercert::traffic
