// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/rate_limit.h"

#include <algorithm>
#include <string_view>

namespace evercert::traffic::dns {
namespace {

// A second's worth at once, after a second of rest.
RateTable table(double rate, std::size_t networks) { return RateTable({rate, std::max(1.0, rate)}, networks); }

}  // namespace

RateLimiter::RateLimiter(RateLimits limits, std::uint64_t seed)
    : slip_(limits.slip),
      key_{seed, ~seed},
      kinds_{Kind{limits.answers, table(limits.answers, limits.networks)},
             Kind{limits.negatives, table(limits.negatives, limits.networks)},
             Kind{limits.errors, table(limits.errors, limits.networks)},
             Kind{limits.work, table(limits.work, limits.networks)}} {}

RateLimiter::Verdict RateLimiter::judge(const IpAddress& client, ResponseKind kind, Instant now) {
  auto& [rate, table] = kinds_[static_cast<std::size_t>(kind)];
  if (rate <= 0) return Verdict::kSend;
  std::array<char, 8> network{};
  network[0] = client.v6 ? '6' : '4';
  std::copy_n(client.bytes.begin(), client.v6 ? 7 : 3, network.begin() + 1);
  const std::uint64_t hash = sip_hash(key_, std::string_view(network.data(), network.size()));
  const std::uint64_t key = hash == 0 ? 1 : hash;  // 0 is an empty place
  if (table.wait(key, 1, 1, now) <= Duration{0}) {
    table.charge(key, 1, 1, now);
    return Verdict::kSend;
  }
  std::uint32_t& limited = limited_[(key >> 32) % limited_.size()];
  ++limited;
  return slip_ > 0 && limited % static_cast<std::uint32_t>(slip_) == 0 ? Verdict::kTruncate : Verdict::kDrop;
}

}  // namespace evercert::traffic::dns
