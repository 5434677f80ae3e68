// SPDX-License-Identifier: Apache-2.0
// Response rate limiting: how much is said to one network, so that a server cannot be made a weapon by forged source
// addresses, nor be kept busy by one network. The counting is traffic/policy's (rate_limit.h): bounded memory, whoever
// asks. Pure: time is passed in.
#pragma once

#include <array>
#include <cstdint>

#include "base/address_prefix.h"
#include "base/time.h"
#include "traffic/policy/rate_limit.h"

namespace evercert::traffic::dns {

// What is counted apart, each with its own limit: answers; names and types that are not there; refusals and errors; and
// messages that had to be worked out rather than copied.
enum class ResponseKind : std::uint8_t { kAnswer, kNegative, kError, kWork };

struct RateLimits {
  // A second and network (of 24 or 56 bits); 0: no limit. Each may be used up at once after a second of rest.
  double answers = 5000, negatives = 500, errors = 200, work = 20000;
  // Every so manieth response beyond the limit is sent truncated, so that a true client asks again by TCP; 0: none.
  int slip = 2;
  std::size_t networks = 1 << 14;  // of each kind remembered at once, by 16 bytes each
};

class RateLimiter {
 public:
  enum class Verdict { kSend, kTruncate, kDrop };

  // `seed`: unpredictable, so that nobody can choose networks that share a place in the table.
  RateLimiter(RateLimits limits, std::uint64_t seed);
  Verdict judge(const IpAddress& client, ResponseKind kind, Instant now);

 private:
  struct Kind {
    double rate = 0;
    RateTable table;
  };
  const int slip_;
  const SipKey key_;
  std::array<Kind, 4> kinds_;  // by ResponseKind
  // Responses beyond the limit, by a part of their network's key: what they share does no more than to shift which of
  // them are truncated.
  std::array<std::uint32_t, 1024> limited_{};
};

}  // namespace evercert::traffic::dns
