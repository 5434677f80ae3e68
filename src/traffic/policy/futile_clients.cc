// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/futile_clients.h"

#include <algorithm>
#include <bit>

namespace evercert::traffic {

FutileClients::FutileClients(FutileOptions options, SipKey key)
    : options_(options),
      key_(key),
      mask_(std::bit_ceil(std::max<std::size_t>((options.clients + kWays - 1) / kWays, 1)) - 1),
      entries_((mask_ + 1) * kWays) {}

std::uint64_t FutileClients::key_of(std::string_view client) const {
  const std::uint64_t hash = sip_hash(key_, client);
  return hash == 0 ? 1 : hash;  // 0 is an empty place
}

void FutileClients::failed(std::string_view client, Instant now) {
  const std::uint64_t key = key_of(client);
  const std::size_t set = set_of(key);
  std::size_t place = set;
  const auto worth = [&](const Entry& e) { return forgotten(e, now) ? 0 : e.failures; };
  for (std::size_t i = set; i < set + kWays; ++i) {
    const Entry &entry = entries_[i], &least = entries_[place];
    if (entry.key == key) {
      place = i;
      break;
    }
    if (worth(entry) < worth(least) || (worth(entry) == worth(least) && entry.last < least.last)) place = i;
  }
  Entry& entry = entries_[place];
  if (entry.key != key || forgotten(entry, now)) entry = {key, 0, now};
  entry.failures = std::min<std::uint32_t>(entry.failures + 1, 1'000'000);
  entry.last = now;
}

void FutileClients::succeeded(std::string_view client) {
  const std::uint64_t key = key_of(client);
  const std::size_t set = set_of(key);
  for (std::size_t i = set; i < set + kWays; ++i) {
    if (entries_[i].key == key) entries_[i] = {};
  }
}

bool FutileClients::futile(std::string_view client, Instant now) const {
  const std::uint64_t key = key_of(client);
  const std::size_t set = set_of(key);
  for (std::size_t i = set; i < set + kWays; ++i) {
    const Entry& entry = entries_[i];
    if (entry.key == key) return !forgotten(entry, now) && entry.failures >= options_.failures;
  }
  return false;
}

}  // namespace evercert::traffic
