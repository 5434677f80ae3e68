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

}  // namespace
}  // namespace evercert
