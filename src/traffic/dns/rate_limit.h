// SPDX-License-Identifier: Apache-2.0
// Response rate limiting: how much is said to one network, so that a server cannot be made a weapon by forged source
// addresses, nor be kept busy by one network. Bounded memory, whoever asks. Pure: time is passed in.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/time.h"
#include "traffic/dns/address.h"

namespace evercert::traffic::dns {

// What is counted apart, each with its own limit: answers; names and types that are not there; refusals and errors; and
// messages that had to be worked out rather than copied.
enum class ResponseKind : std::uint8_t { kAnswer, kNegative, kError, kWork };

struct RateLimits {
  // A second and network (of 24 or 56 bits); 0: no limit. Each may be used up at once after a second of rest.
  double answers = 5000, negatives = 500, errors = 200, work = 20000;
  // Every so manieth response beyond the limit is sent truncated, so that a true client asks again by TCP; 0: none.
  int slip = 2;
  std::size_t networks = 1 << 14;  // remembered at once, by 24 bytes each
};

class RateLimiter {
 public:
  enum class Verdict { kSend, kTruncate, kDrop };

  // `seed`: unpredictable, so that nobody can choose networks that share a place in the table.
  RateLimiter(RateLimits limits, std::uint64_t seed);
  Verdict judge(const IpAddress& client, ResponseKind kind, Instant now);

 private:
  struct Bucket {
    std::uint64_t key = 0;  // 0: nobody's
    std::int64_t at_us = 0;
    float tokens = 0;
    std::uint32_t limited = 0;
  };
  static constexpr std::size_t kWays = 4;

  double rate(ResponseKind kind) const;

  RateLimits limits_;
  std::uint64_t seed_;
  std::vector<std::array<Bucket, kWays>> sets_;  // a power of two
};

}  // namespace evercert::traffic::dns
