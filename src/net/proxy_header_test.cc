// SPDX-License-Identifier: Apache-2.0
#include "net/proxy_header.h"

#include <gtest/gtest.h>

namespace evercert::net {
namespace {

using State = ProxyHeader::State;
const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string binary(unsigned char command, unsigned char family, std::string_view rest) {
  return kSignature + static_cast<char>(command) + static_cast<char>(family) + static_cast<char>(rest.size() >> 8) +
         static_cast<char>(rest.size()) + std::string(rest);
}

TEST(ProxyHeaderTest, BothVersionsNameTheClient) {
  const std::string six = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01" + std::string(20, '\0');
  const std::vector<std::pair<std::string, std::string>> known{
      {"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1"},
      {"PROXY TCP6 2001:DB8:0::1 2001:db8::2 1 65535\r\n", "2001:db8::1"},
      {"PROXY UNKNOWN\r\n", ""},
      {"PROXY UNKNOWN ffff:f...f 1 2 3\r\n", ""},
      {binary(0x21, 0x11, std::string("\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb", 12)), "192.0.2.1"},
      {binary(0x21, 0x11, std::string("\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb\x04\0\x01x", 16)), "192.0.2.1"},
      {binary(0x21, 0x21, six), "2001:db8::1"},
      {binary(0x20, 0x00, ""), ""},
      {binary(0x20, 0x11, std::string(12, '\1')), ""},
      {binary(0x21, 0x00, "whatever"), ""},
  };
  for (const auto& [bytes, source] : known) {
    const auto header = read_proxy_header(bytes + "GET / HTTP/1.1\r\n");
    EXPECT_EQ(header.state, State::kWhole) << bytes;
    EXPECT_EQ(header.size, bytes.size()) << bytes;
    EXPECT_EQ(header.source, source) << bytes;
    for (std::size_t some = 0; some < bytes.size(); ++some)
      EXPECT_EQ(read_proxy_header(bytes.substr(0, some)).state, State::kMore) << bytes << " " << some;
  }
}

TEST(ProxyHeaderTest, WhatIsNoneIsRefusedAsSoonAsThatIsClear) {
  const std::vector<std::string> wrong{
      "GET / HTTP/1.1\r\n",
      "\x16\x03\x01",  // TLS
      "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n",
      "PROXY TCP4 192.0.2.256 198.51.100.1 1 443\r\n",
      "PROXY TCP4 2001:db8::1 198.51.100.1 1 443\r\n",
      "PROXY TCP4  192.0.2.1 198.51.100.1 1 443\r\n",
      "PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.1 1 443" + std::string(70, ' '),
      "proxy TCP4 192.0.2.1 198.51.100.1 1 443\r\n",
      binary(0x11, 0x11, std::string(12, '\1')),  // version 1 in binary
      binary(0x22, 0x11, std::string(12, '\1')),  // an unknown command
      binary(0x21, 0x11, std::string(11, '\1')),
      binary(0x21, 0x21, std::string(35, '\1')),
      binary(0x21, 0x31, std::string(216, '\1')),
      binary(0x21, 0x12, std::string(12, '\1')),
      binary(0x21, 0x11, std::string(4000, '\1')),
  };
  for (const auto& bytes : wrong) EXPECT_EQ(read_proxy_header(bytes).state, State::kWrong) << bytes;
}

}  // namespace
}  // namespace evercert::net
