// SPDX-License-Identifier: Apache-2.0
#include "pki/der.h"

#include <chrono>

namespace evercert::pki::der {
namespace {

// YYYYMMDDHHMMSSZ. The C library's way takes the lock of its time zones.
std::string digits(std::int64_t seconds) {
  const std::chrono::sys_seconds at{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  std::string out;
  const auto put = [&](unsigned value, unsigned place) {
    for (; place != 0; place /= 10) out.push_back(static_cast<char>('0' + value / place % 10));
  };
  put(static_cast<unsigned>(static_cast<int>(date.year())), 1000);
  put(static_cast<unsigned>(date.month()), 10);
  put(static_cast<unsigned>(date.day()), 10);
  put(static_cast<unsigned>(time.hours().count()), 10);
  put(static_cast<unsigned>(time.minutes().count()), 10);
  put(static_cast<unsigned>(time.seconds().count()), 10);
  out.push_back('Z');
  return out;
}

}  // namespace

void begin(std::string& out, std::uint8_t tag, std::size_t size) {
  out.push_back(static_cast<char>(tag));
  if (size < 0x80) {
    out.push_back(static_cast<char>(size));
    return;
  }
  int octets = 0;
  for (std::size_t rest = size; rest != 0; rest >>= 8) ++octets;
  out.push_back(static_cast<char>(0x80 | octets));
  for (int i = octets - 1; i >= 0; --i) out.push_back(static_cast<char>(size >> 8 * i));
}

std::string wrap(std::uint8_t tag, std::string_view content) {
  constexpr std::size_t kMostHeader = 1 + 1 + sizeof(std::size_t);
  std::string out;
  out.reserve(content.size() + kMostHeader);
  begin(out, tag, content.size());
  out.append(content);
  return out;
}

std::string bit_string(std::string_view content) { return wrap(kBitString, std::string(1, '\0').append(content)); }

std::string generalized_time(std::int64_t seconds) { return wrap(kGeneralizedTime, digits(seconds)); }

std::string time(std::int64_t seconds) {
  constexpr std::int64_t kYear2050 = 2524608000;
  if (seconds >= kYear2050) return generalized_time(seconds);
  return wrap(kUtcTime, std::string_view(digits(seconds)).substr(2));
}

std::string integer(std::string_view big_endian) {
  while (big_endian.size() > 1 && big_endian[0] == 0) big_endian.remove_prefix(1);
  if (big_endian.empty()) return wrap(kInteger, std::string(1, '\0'));
  if (static_cast<unsigned char>(big_endian[0]) < 0x80) return wrap(kInteger, big_endian);
  return wrap(kInteger, std::string(1, '\0').append(big_endian));
}

}  // namespace evercert::pki::der
