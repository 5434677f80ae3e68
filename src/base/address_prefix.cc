// SPDX-License-Identifier: Apache-2.0
#include "base/address_prefix.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace evercert {
namespace {

struct Address {
  int family = 0;  // 0: none
  std::array<std::uint8_t, 16> bytes{};
};

Address read(std::string_view text) {
  Address out;
  const std::string copy(text);
  if (::inet_pton(AF_INET, copy.c_str(), out.bytes.data()) == 1) {
    out.family = AF_INET;
    return out;
  }
  if (::inet_pton(AF_INET6, copy.c_str(), out.bytes.data()) != 1) return out;
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  out.family = AF_INET6;
  if (std::equal(kMapped.begin(), kMapped.end(), out.bytes.begin())) {
    out.family = AF_INET;
    std::copy_n(out.bytes.begin() + 12, 4, out.bytes.begin());
  }
  return out;
}

}  // namespace

Result<AddressPrefix> AddressPrefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  const Address address = read(text.substr(0, slash));
  const int most = address.family == AF_INET ? 32 : 128;
  AddressPrefix out;
  out.family_ = address.family;
  out.bytes_ = address.bytes;
  out.bits_ = most;
  bool fine = address.family != 0;
  if (fine && slash != std::string_view::npos) {
    const std::string_view bits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), out.bits_);
    fine = error == std::errc() && end == bits.data() + bits.size() && out.bits_ >= 0 && out.bits_ <= most;
  }
  if (!fine) return fail(Code::kInvalid, "'" + std::string(text) + "' is no prefix of addresses such as 192.0.2.0/24");
  return out;
}

bool AddressPrefix::contains(std::string_view text) const {
  const Address address = read(text);
  if (address.family != family_) return false;
  const auto whole = static_cast<std::size_t>(bits_ / 8);
  if (!std::equal(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(whole), address.bytes.begin()))
    return false;
  const int rest = bits_ % 8;
  return rest == 0 || ((bytes_[whole] ^ address.bytes[whole]) >> (8 - rest)) == 0;
}

std::string client_of(std::string_view text) {
  const Address address = read(text);
  const std::size_t size = address.family == AF_INET ? 4 : address.family == AF_INET6 ? 8 : 0;
  return {address.bytes.begin(), address.bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace evercert
