// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/address.h"

#include <gtest/gtest.h>

namespace evercert::traffic::dns {
namespace {

TEST(Address, BothFamiliesAreReadAndWritten) {
  for (const char* text : {"192.0.2.1", "0.0.0.0", "2001:db8::1", "::"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
    EXPECT_EQ(address->v6, std::string_view(text).find(':') != std::string_view::npos);
  }
  for (const char* text : {"", "192.0.2", "192.0.2.256", "example.com", "2001:db8::g"})
    EXPECT_FALSE(parse_address(text));
}

TEST(Address, PrefixesWithBitsBeyondTheirLengthAreRefusedWithTheRightSpelling) {
  EXPECT_EQ(parse_prefix("192.0.2.0/24")->length, 24);
  EXPECT_EQ(parse_prefix("2001:db8::/32")->length, 32);
  EXPECT_EQ(parse_prefix("192.0.2.7")->length, 32);
  EXPECT_EQ(parse_prefix("0.0.0.0/0")->length, 0);
  const auto slip = parse_prefix("192.0.2.7/24");
  ASSERT_FALSE(slip);
  EXPECT_NE(slip.error().message.find("192.0.2.0/24"), std::string::npos);
  for (const char* text : {"192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/2x", "2001:db8::/129"})
    EXPECT_FALSE(parse_prefix(text)) << text;
}

TEST(Address, APrefixKeepsItsBitsAndNoOthers) {
  const IpAddress address = *parse_address("255.255.255.255");
  EXPECT_EQ(to_string(prefix_of(address, 9).address), "255.128.0.0");
  EXPECT_EQ(to_string(prefix_of(address, 0).address), "0.0.0.0");
  EXPECT_EQ(prefix_of(address, 64).length, 32);
  EXPECT_EQ(to_string(prefix_of(*parse_address("2001:db8:ffff::1"), 33).address), "2001:db8:8000::");
}

TEST(Address, SocketAddressesNeedAPortAndBracketsAroundIpv6) {
  EXPECT_EQ(to_string(*parse_socket_address("192.0.2.1:53")), "192.0.2.1:53");
  EXPECT_EQ(to_string(*parse_socket_address("[2001:db8::1]:53")), "[2001:db8::1]:53");
  for (const char* text : {"192.0.2.1", "2001:db8::1:53", "[192.0.2.1]:53", "192.0.2.1:65536", ":53", "a:53"})
    EXPECT_FALSE(parse_socket_address(text)) << text;
}

}  // namespace
}  // namespace evercert::traffic::dns
