// SPDX-License-Identifier: Apache-2.0
#include "base/address_prefix.h"

#include <gtest/gtest.h>

namespace evercert {
namespace {

TEST(AddressPrefixTest, AnAddressLiesInItsPrefixes) {
  const auto in = [](const char* prefix, const char* address) {
    const auto parsed = AddressPrefix::parse(prefix);
    return parsed && parsed->contains(address);
  };
  EXPECT_TRUE(in("192.0.2.0/24", "192.0.2.255"));
  EXPECT_FALSE(in("192.0.2.0/24", "192.0.3.0"));
  EXPECT_TRUE(in("10.32.0.0/11", "10.63.255.255"));
  EXPECT_FALSE(in("10.32.0.0/11", "10.64.0.0"));
  EXPECT_TRUE(in("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(in("192.0.2.7", "192.0.2.8"));
  EXPECT_TRUE(in("0.0.0.0/0", "1.2.3.4"));
  EXPECT_FALSE(in("0.0.0.0/0", "::1"));
  EXPECT_TRUE(in("192.0.2.0/24", "::ffff:192.0.2.1"));
  EXPECT_TRUE(in("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(in("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_FALSE(in("192.0.2.0/24", "nonsense"));
  for (const char* wrong :
       {"", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2.0/2x", "::/129", "a/8", "192.0.2/24"})
    EXPECT_FALSE(AddressPrefix::parse(wrong)) << wrong;
}

TEST(AddressPrefixTest, AClientIsAnAddressOfFourOrAPrefixOfSix) {
  EXPECT_EQ(client_of("192.0.2.1"), client_of("::ffff:192.0.2.1"));
  EXPECT_NE(client_of("192.0.2.1"), client_of("192.0.2.2"));
  EXPECT_EQ(client_of("2001:db8::1"), client_of("2001:db8::ffff:1"));
  EXPECT_NE(client_of("2001:db8::1"), client_of("2001:db8:0:1::1"));
}

TEST(IpAddressTest, BothFamiliesAreReadAndWritten) {
  for (const char* text : {"192.0.2.1", "0.0.0.0", "2001:db8::1", "::"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
    EXPECT_EQ(address->v6, std::string_view(text).find(':') != std::string_view::npos);
  }
}

TEST(IpAddressTest, WhatIsNoAddressIsRefused) {
  for (const std::string_view bad : {"",
                                     " ",
                                     "1.2.3",
                                     "1.2.3.4.5",
                                     "256.1.1.1",
                                     "1.2.3.4 ",
                                     " 1.2.3.4",
                                     "1.2.3.4/24",
                                     "01.2.3.4x",
                                     "1.2.3.4:80",
                                     "[::1]",
                                     "::1%eth0",
                                     ":::",
                                     "12345::",
                                     "1:2:3:4:5:6:7:8:9",
                                     "::ffff:1.2.3",
                                     "localhost",
                                     "0x7f.1",
                                     "2001:db8::g",
                                     "\xff\xfe"}) {
    const auto address = parse_address(bad);
    ASSERT_FALSE(address) << bad;
    EXPECT_EQ(address.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(parse_address(std::string(10'000'000, ':')));
  EXPECT_FALSE(parse_address(std::string_view("1.2.3.4\0junk", 12))) << "what follows a zero byte is read too";
}

TEST(AddressPrefixTest, BitsBeyondTheLengthAreRefusedWithTheRightSpelling) {
  EXPECT_EQ(AddressPrefix::parse("192.0.2.0/24")->length, 24);
  EXPECT_EQ(AddressPrefix::parse("2001:db8::/32")->length, 32);
  EXPECT_EQ(AddressPrefix::parse("192.0.2.7")->length, 32);
  EXPECT_EQ(AddressPrefix::parse("0.0.0.0/0")->length, 0);
  const auto slip = AddressPrefix::parse("192.0.2.7/24");
  ASSERT_FALSE(slip);
  EXPECT_NE(slip.error().message.find("192.0.2.0/24"), std::string::npos);
}

TEST(AddressPrefixTest, APrefixKeepsItsBitsAndNoOthers) {
  const IpAddress address = *parse_address("255.255.255.255");
  EXPECT_EQ(to_string(prefix_of(address, 9).address), "255.128.0.0");
  EXPECT_EQ(to_string(prefix_of(address, 0).address), "0.0.0.0");
  EXPECT_EQ(prefix_of(address, 64).length, 32);
  EXPECT_EQ(to_string(prefix_of(*parse_address("2001:db8:ffff::1"), 33).address), "2001:db8:8000::");
}

TEST(AddressPrefixTest, ANetworkIsTheFirst24BitsOfIpv4And48OfIpv6) {
  EXPECT_EQ(*network_of("192.0.2.1"), *network_of("192.0.2.255"));
  EXPECT_NE(*network_of("192.0.2.1"), *network_of("192.0.3.1"));
  EXPECT_EQ(*network_of("2001:db8:1::1"), *network_of("2001:db8:1:ffff::"));
  EXPECT_NE(*network_of("2001:db8:1::1"), *network_of("2001:db8:2::1"));
  EXPECT_EQ(*network_of("::ffff:192.0.2.7"), *network_of("192.0.2.1")) << "one address, however the socket writes it";
  EXPECT_NE(*network_of("0.0.0.0"), *network_of("::"));
  EXPECT_FALSE(network_of("nobody"));
}

}  // namespace
}  // namespace evercert
