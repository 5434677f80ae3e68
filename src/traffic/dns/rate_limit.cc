// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/rate_limit.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace evercert::traffic::dns {

RateLimiter::RateLimiter(RateLimits limits, std::uint64_t seed)
    : limits_(limits), seed_(seed), sets_(std::bit_ceil(std::max<std::size_t>(1, limits.networks / kWays))) {}

double RateLimiter::rate(ResponseKind kind) const {
  switch (kind) {
    case ResponseKind::kAnswer: return limits_.answers;
    case ResponseKind::kNegative: return limits_.negatives;
    case ResponseKind::kError: return limits_.errors;
    case ResponseKind::kWork: break;
  }
  return limits_.work;
}

RateLimiter::Verdict RateLimiter::judge(const IpAddress& client, ResponseKind kind, Instant now) {
  const double rate = this->rate(kind);
  if (rate <= 0) return Verdict::kSend;
  std::uint64_t network = 0;
  if (client.v6) {
    std::memcpy(&network, client.bytes.data(), 7);
  } else {
    std::memcpy(&network, client.bytes.data(), 3);
  }
  std::uint64_t key = network * 8 + static_cast<std::uint64_t>(kind) * 2 + (client.v6 ? 1 : 0);
  key = (key ^ seed_) * 0x9e3779b97f4a7c15u;
  key ^= key >> 29;
  key = (key * 0xbf58476d1ce4e5b9u) | 1;  // never 0
  auto& set = sets_[(key >> 20) & (sets_.size() - 1)];
  const double burst = std::max(1.0, rate);
  Bucket* mine = nullptr;
  Bucket* idlest = &set[0];
  for (Bucket& bucket : set) {
    if (bucket.key == key) mine = &bucket;
    if (bucket.at_us < idlest->at_us) idlest = &bucket;  // one that is nobody's has the time 0
  }
  if (mine == nullptr) {
    // Who has been silent for longest is forgotten: one that floods is heard of all the time and stays.
    mine = idlest;
    *mine = {key, now.us, static_cast<float>(burst), 0};
  }
  const double passed = std::max(0.0, static_cast<double>(now.us - mine->at_us) / 1e6);
  mine->tokens = static_cast<float>(std::min(burst, static_cast<double>(mine->tokens) + passed * rate));
  mine->at_us = now.us;
  if (mine->tokens >= 1) {
    mine->tokens -= 1;
    mine->limited = 0;
    return Verdict::kSend;
  }
  ++mine->limited;
  return limits_.slip > 0 && mine->limited % static_cast<std::uint32_t>(limits_.slip) == 0 ? Verdict::kTruncate
                                                                                           : Verdict::kDrop;
}

}  // namespace evercert::traffic::dns
