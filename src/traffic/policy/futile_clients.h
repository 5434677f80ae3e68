// SPDX-License-Identifier: Apache-2.0
// Clients whose requests have failed by their own fault over and over and never succeeded between: a forgotten cron job
// for a name that is gone. They are served last. Source: Let's Encrypt's pausing of "zombie" clients. Bounded: a table
// of a fixed size, in sets of eight, whose place for a key is a secret (sip_hash.h); who has failed the least, then the
// longest ago, makes room, so that a flood of strangers does not wash out what is known.
// Pure; one thread, or a mutex of the caller; O(1), allocates nothing after the beginning.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "traffic/policy/sip_hash.h"

namespace evercert::traffic {

struct FutileOptions {
  std::uint32_t failures = 20;  // in a row
  Duration forget_after = 24h;  // without a failure
  std::size_t clients = 16'384;
};

class FutileClients {
 public:
  FutileClients(FutileOptions options, SipKey key);

  // `client`: an account, or an account and the names it asks for. A failure is one by its own fault (a 4xx that is no
  // 429, a validation that failed), never one of ours.
  void failed(std::string_view client, Instant now);
  void succeeded(std::string_view client);
  bool futile(std::string_view client, Instant now) const;

 private:
  static constexpr std::size_t kWays = 8;
  struct Entry {
    std::uint64_t key = 0;
    std::uint32_t failures = 0;
    Instant last;
  };
  std::uint64_t key_of(std::string_view client) const;
  std::size_t set_of(std::uint64_t key) const { return (key & mask_) * kWays; }
  bool forgotten(const Entry& entry, Instant now) const {
    return entry.key == 0 || now - entry.last > options_.forget_after;
  }

  FutileOptions options_;
  SipKey key_;
  std::uint64_t mask_;
  std::vector<Entry> entries_;
};

}  // namespace evercert::traffic
