// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/client_subnet.h"

#include <gtest/gtest.h>

namespace evercert::traffic::dns {
namespace {

std::optional<ClientSubnet> read(std::vector<std::uint8_t> data) { return read_client_subnet(data); }

TEST(ClientSubnet, WhatRfc7871SaysIsRead) {
  const auto four = read({0, 1, 24, 0, 192, 0, 2});
  ASSERT_TRUE(four);
  EXPECT_EQ(four->prefix, *AddressPrefix::parse("192.0.2.0/24"));
  const auto six = read({0, 2, 33, 0, 0x20, 1, 0x0d, 0xb8, 0x80});
  ASSERT_TRUE(six);
  EXPECT_EQ(six->prefix, *AddressPrefix::parse("2001:db8:8000::/33"));
  EXPECT_EQ(read({0, 1, 0, 0})->prefix.length, 0);
}

TEST(ClientSubnet, WhatItForbidsIsRefused) {
  EXPECT_FALSE(read({}));
  EXPECT_FALSE(read({0, 1, 24}));
  EXPECT_FALSE(read({0, 3, 24, 0, 1, 2, 3})) << "a family that nobody knows";
  EXPECT_FALSE(read({1, 1, 24, 0, 1, 2, 3})) << "another one";
  EXPECT_FALSE(read({0, 1, 24, 24, 1, 2, 3})) << "a scope in a query";
  EXPECT_FALSE(read({0, 1, 33, 0, 1, 2, 3, 4, 5})) << "longer than an address";
  EXPECT_FALSE(read({0, 1, 24, 0, 1, 2})) << "bytes are missing";
  EXPECT_FALSE(read({0, 1, 24, 0, 1, 2, 3, 0})) << "bytes are left over";
  EXPECT_FALSE(read({0, 1, 20, 0, 1, 2, 0xff})) << "bits beyond the length";
}

TEST(ClientSubnet, TheAnswerRepeatsThePrefixAndTellsTheScope) {
  const auto asked = read({0, 1, 20, 0, 10, 1, 0xf0});
  ASSERT_TRUE(asked);
  EXPECT_EQ(write_client_subnet(*asked, 16), std::string("\0\1\x14\x10\x0a\x01\xf0", 7));
  EXPECT_EQ(write_client_subnet(*read({0, 2, 0, 0}), 48), std::string("\0\2\0\0", 4))
      << "who does not want to be told apart is not";
}

}  // namespace
}  // namespace evercert::traffic::dns
