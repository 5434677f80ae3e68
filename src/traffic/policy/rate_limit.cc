// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/rate_limit.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/address_prefix.h"

namespace evercert::traffic {

RateTable::RateTable(Rate rate, std::size_t entries)
    : rate_{std::max(rate.per_second, 1e-6), std::max(rate.burst, 1.0)},
      mask_(std::bit_ceil(std::max<std::size_t>((entries + kWays - 1) / kWays, 1)) - 1),
      entries_((mask_ + 1) * kWays) {}

std::int64_t RateTable::debt_us(double cost, double share) const {
  const double capped = std::clamp(cost, 0.0, rate_.burst);
  return std::llround(capped * 1e6 / (rate_.per_second * std::max(share, 1e-6)));
}

Duration RateTable::wait(std::uint64_t key, double cost, double share, Instant now) const {
  const std::size_t set = set_of(key);
  for (std::size_t i = set; i < set + kWays; ++i) {
    if (entries_[i].key != key) continue;
    const std::int64_t owed = std::max(entries_[i].paid_at_us, now.us) + debt_us(cost, share) - now.us;
    return Duration{std::max<std::int64_t>(owed - debt_us(rate_.burst, share), 0)};
  }
  return Duration{0};
}

void RateTable::charge(std::uint64_t key, double cost, double share, Instant now) {
  const std::size_t set = set_of(key);
  std::size_t place = set;
  for (std::size_t i = set; i < set + kWays; ++i) {
    if (entries_[i].key == key) {
      place = i;
      break;
    }
    if (entries_[i].paid_at_us < entries_[place].paid_at_us) place = i;
  }
  Entry& entry = entries_[place];
  if (entry.key != key) entry = {key, 0};
  entry.paid_at_us = std::max(entry.paid_at_us, now.us) + debt_us(cost, share);
}

RateLimit::RateLimit(RateLimitOptions options, SipKey key)
    : options_(options),
      key_(key),
      prefixes_(options.prefix, options.prefixes),
      clients_(options.client, options.clients),
      accounts_(options.account, options.accounts) {}

std::uint64_t RateLimit::key_of(RateScope scope, std::string_view name) const {
  // A key of its own for each scope: what meets in one table tells nothing about the others.
  const std::uint64_t hash = sip_hash({key_.low ^ static_cast<std::uint64_t>(scope), key_.high}, name);
  return hash == 0 ? 1 : hash;  // 0 is an empty place
}

RateRuling RateLimit::ask(const Caller& caller, double cost, Instant now) {
  struct Scope {
    RateScope of;
    RateTable* table;
    std::uint64_t key;
  };
  std::array<Scope, 3> scopes{};
  std::size_t n = 0;
  if (!caller.address.empty()) {
    const auto network = network_of(caller.address);
    std::array<char, 7> key{'?'};
    if (network) {
      key[0] = network->address.v6 ? '6' : '4';
      std::copy_n(network->address.bytes.begin(), 6, key.begin() + 1);
    }
    scopes[n++] = {RateScope::kPrefix, &prefixes_, key_of(RateScope::kPrefix, {key.data(), key.size()})};
  }
  if (!caller.client.empty()) scopes[n++] = {RateScope::kClient, &clients_, key_of(RateScope::kClient, caller.client)};
  if (!caller.account.empty())
    scopes[n++] = {RateScope::kAccount, &accounts_, key_of(RateScope::kAccount, caller.account)};
  RateRuling ruling;
  for (std::size_t i = 0; i < n; ++i) {
    const Duration wait = scopes[i].table->wait(scopes[i].key, cost, share_, now);
    if (wait <= ruling.retry_after) continue;
    ruling = {false, scopes[i].of, wait};
  }
  if (!caller.claimed.empty()) {
    const Duration wait = accounts_.wait(key_of(RateScope::kAccount, caller.claimed), cost, share_, now);
    if (wait > ruling.retry_after) ruling = {false, RateScope::kAccount, wait};
  }
  if (!ruling.admitted) return ruling;
  for (std::size_t i = 0; i < n; ++i) scopes[i].table->charge(scopes[i].key, cost, share_, now);
  return ruling;
}

void RateLimit::proved(std::string_view account, double cost, Instant now) {
  accounts_.charge(key_of(RateScope::kAccount, account), cost, share_, now);
}

void RateLimit::adapt(bool overloaded, Instant now) {
  if (adapted_ && now - adapted_at_ < options_.adapt_every) return;
  adapted_ = true;
  adapted_at_ = now;
  share_ = overloaded ? share_ * options_.decrease : share_ + options_.increase;
  share_ = std::clamp(share_, options_.least_share, 1.0);
}

std::int64_t retry_after_seconds(Duration wait) {
  constexpr std::int64_t kSecond = 1'000'000;
  return std::max<std::int64_t>((wait.count() + kSecond - 1) / kSecond, 1);
}

}  // namespace evercert::traffic
