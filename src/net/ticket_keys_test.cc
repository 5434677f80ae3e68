// SPDX-License-Identifier: Apache-2.0
#include "net/ticket_keys.h"

#include <gtest/gtest.h>

namespace evercert::net {
namespace {

constexpr std::int64_t kPeriod = TicketKeys::kPeriodSeconds;
WallTime at(std::int64_t seconds) { return {seconds * 1000}; }
std::string_view name(const TicketKey& key) {
  return {reinterpret_cast<const char*>(key.name.data()), key.name.size()};
}

TEST(TicketKeysTest, ServersWithOneSecretReadEachOthersTickets) {
  TicketKeys one(std::string(32, 'a')), two(std::string(32, 'a')), stranger(std::string(32, 'b'));
  const TicketKey key = one.newest(at(100 * kPeriod));
  const auto found = two.find(name(key), at(100 * kPeriod + 60));
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->newest);
  EXPECT_EQ(found->key.cipher, key.cipher);
  EXPECT_EQ(found->key.mac, key.mac);
  EXPECT_FALSE(stranger.find(name(key), at(100 * kPeriod)));
}

TEST(TicketKeysTest, AKeyMakesTicketsForOnePeriodIsReadInTheNextAndThenGone) {
  TicketKeys keys(std::string(32, 'a'));
  const TicketKey key = keys.newest(at(100 * kPeriod));
  EXPECT_NE(keys.newest(at(101 * kPeriod)).name, key.name);
  const auto next = keys.find(name(key), at(102 * kPeriod - 1));
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->newest);
  EXPECT_FALSE(keys.find(name(key), at(102 * kPeriod)));
}

TEST(TicketKeysTest, AServerWhoseClockIsBehindReadsANewKeyAlready) {
  TicketKeys ahead(std::string(32, 'a')), behind(std::string(32, 'a'));
  const TicketKey key = ahead.newest(at(100 * kPeriod));
  EXPECT_TRUE(behind.find(name(key), at(100 * kPeriod - 1800)));
  EXPECT_FALSE(behind.find(name(key), at(100 * kPeriod - 2 * TicketKeys::kSkewSeconds)));
}

TEST(TicketKeysTest, ANewSecretMakesTicketsAndTheOldOneIsStillReadTheOneBeforeNot) {
  TicketKeys keys(std::string(32, 'a'));
  const WallTime now = at(100 * kPeriod);
  const TicketKey first = keys.newest(now);
  keys.change(std::string(32, 'b'));
  const TicketKey second = keys.newest(now);
  EXPECT_NE(first.name, second.name);
  ASSERT_TRUE(keys.find(name(first), now));
  EXPECT_FALSE(keys.find(name(first), now)->newest);
  keys.change(std::string(32, 'b'));
  EXPECT_TRUE(keys.find(name(first), now)) << "the same once more is no change";
  keys.change(std::string(32, 'c'));
  EXPECT_FALSE(keys.find(name(first), now));
  EXPECT_TRUE(keys.find(name(second), now));
}

}  // namespace
}  // namespace evercert::net
