// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/address.h"

#include <gtest/gtest.h>

namespace evercert::traffic::dns {
namespace {

TEST(Address, SocketAddressesNeedAPortAndBracketsAroundIpv6) {
  EXPECT_EQ(to_string(*parse_socket_address("192.0.2.1:53")), "192.0.2.1:53");
  EXPECT_EQ(to_string(*parse_socket_address("[2001:db8::1]:53")), "[2001:db8::1]:53");
  for (const char* text : {"192.0.2.1", "2001:db8::1:53", "[192.0.2.1]:53", "192.0.2.1:65536", ":53", "a:53"})
    EXPECT_FALSE(parse_socket_address(text)) << text;
}

}  // namespace
}  // namespace evercert::traffic::dns
