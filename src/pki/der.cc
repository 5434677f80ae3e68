// SPDX-License-Identifier: Apache-2.0
#include "pki/der.h"

#include <ctime>

namespace evercert::pki::der {

std::string wrap(std::uint8_t tag, std::string_view content) {
  std::string out(1, static_cast<char>(tag));
  const std::size_t n = content.size();
  if (n < 0x80) {
    out.push_back(static_cast<char>(n));
  } else {
    int octets = 0;
    for (std::size_t rest = n; rest != 0; rest >>= 8) ++octets;
    out.push_back(static_cast<char>(0x80 | octets));
    for (int i = octets - 1; i >= 0; --i) out.push_back(static_cast<char>(n >> 8 * i));
  }
  out.append(content);
  return out;
}

std::string bit_string(std::string_view content) { return wrap(kBitString, std::string(1, '\0').append(content)); }

std::string generalized_time(std::int64_t seconds) {
  const std::time_t t = seconds;
  std::tm parts{};
  gmtime_r(&t, &parts);
  char text[32];
  const std::size_t n = std::strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &parts);
  return wrap(kGeneralizedTime, {text, n});
}

std::string time(std::int64_t seconds) {
  constexpr std::int64_t kYear2050 = 2524608000;
  if (seconds >= kYear2050) return generalized_time(seconds);
  const std::time_t t = seconds;
  std::tm parts{};
  gmtime_r(&t, &parts);
  char text[32];
  const std::size_t n = std::strftime(text, sizeof text, "%y%m%d%H%M%SZ", &parts);
  return wrap(kUtcTime, {text, n});
}

std::string integer(std::string_view big_endian) {
  while (big_endian.size() > 1 && big_endian[0] == 0) big_endian.remove_prefix(1);
  if (big_endian.empty()) return wrap(kInteger, std::string(1, '\0'));
  if (static_cast<unsigned char>(big_endian[0]) < 0x80) return wrap(kInteger, big_endian);
  return wrap(kInteger, std::string(1, '\0').append(big_endian));
}

}  // namespace evercert::pki::der
