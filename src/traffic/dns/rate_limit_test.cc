// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/rate_limit.h"

#include <gtest/gtest.h>

namespace evercert::traffic::dns {
namespace {

using Verdict = RateLimiter::Verdict;

IpAddress address_at(const std::string& text) { return *parse_address(text); }

int sent(RateLimiter& limiter, const IpAddress& client, ResponseKind kind, int times, Instant now) {
  int count = 0;
  for (int i = 0; i < times; ++i) count += limiter.judge(client, kind, now) == Verdict::kSend ? 1 : 0;
  return count;
}

TEST(RateLimit, ANetworkGetsItsRateAndOtherNetworksTheirs) {
  RateLimiter limiter({100, 10, 5, 1000, 2, 1024}, 7);
  Instant now{1'000'000};
  EXPECT_EQ(sent(limiter, address_at("192.0.2.1"), ResponseKind::kAnswer, 60, now), 60);
  EXPECT_EQ(sent(limiter, address_at("192.0.2.200"), ResponseKind::kAnswer, 500, now), 40) << "one network together";
  EXPECT_EQ(sent(limiter, address_at("192.0.3.1"), ResponseKind::kAnswer, 500, now), 100);
  EXPECT_EQ(sent(limiter, address_at("192.0.2.1"), ResponseKind::kNegative, 500, now), 10) << "kinds are counted apart";
  EXPECT_EQ(sent(limiter, address_at("2001:db8::1"), ResponseKind::kError, 500, now), 5);
  EXPECT_EQ(sent(limiter, address_at("2001:db8:0:ff::"), ResponseKind::kError, 500, now), 0) << "56 bits of IPv6";
  now = now + 500ms;
  EXPECT_EQ(sent(limiter, address_at("192.0.2.1"), ResponseKind::kAnswer, 500, now), 50);
  now = now + 3600s;
  EXPECT_EQ(sent(limiter, address_at("192.0.2.1"), ResponseKind::kAnswer, 500, now), 100) << "a second's worth at most";
}

TEST(RateLimit, EverySecondOfWhatIsTooMuchIsTruncatedSoThatTrueClientsComeByTcp) {
  RateLimiter limiter({1, 1, 1, 1, 2, 1024}, 7);
  int cut = 0, dropped = 0;
  for (int i = 0; i < 101; ++i) {
    const auto verdict = limiter.judge(address_at("192.0.2.1"), ResponseKind::kAnswer, Instant{1'000'000});
    cut += verdict == Verdict::kTruncate ? 1 : 0;
    dropped += verdict == Verdict::kDrop ? 1 : 0;
  }
  EXPECT_EQ(cut, 50);
  EXPECT_EQ(dropped, 50);
}

TEST(RateLimit, AFloodStaysLimitedHoweverManyOtherNetworksAreSeen) {
  RateLimiter limiter({10, 10, 10, 10, 2, 1024}, 7);
  Instant now{1'000'000};
  int through = 0;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    now = now + 10us;
    through += sent(limiter, address_at("192.0.2.1"), ResponseKind::kAnswer, 1, now);
    IpAddress other;
    other.bytes = {static_cast<std::uint8_t>(i >> 12 | 16), static_cast<std::uint8_t>(i >> 4),
                   static_cast<std::uint8_t>(i << 4), 1};
    limiter.judge(other, ResponseKind::kAnswer, now);
  }
  EXPECT_LE(through, 22) << "one second at ten a second, and the ten to begin with";
}

TEST(RateLimit, ZeroIsNoLimit) {
  RateLimiter limiter({0, 0, 0, 0, 2, 1024}, 7);
  EXPECT_EQ(sent(limiter, address_at("192.0.2.1"), ResponseKind::kAnswer, 100'000, Instant{1}), 100'000);
}

}  // namespace
}  // namespace evercert::traffic::dns
