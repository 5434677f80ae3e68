// SPDX-License-Identifier: Apache-2.0
// How often one may come: by client, by prefix of its address, and by account. Source: GCRA, the generic cell rate
// algorithm (ITU-T I.371), as a "theoretical arrival time": one number for each key says all.
//
// Memory is bounded: a table of a fixed size, in sets of eight. Why nobody can gain by filling it: a key that is not in
// the table has its whole burst, and so has a key whose debts are paid. Clients that keep to their rate are such keys
// nearly always, and lose nothing when they go. What does say something, a debt, is replaced only by a key that finds
// eight in its set that all owe more than the one that goes; and debts are made only by requests that were let in.
// Which set a key belongs to is a secret (sip_hash.h). The prefix is asked first, so that one network cannot fill the
// tables of clients and accounts faster than its own rate.
//
// Adapts: while the process is overloaded, all rates fall by a factor; when it is calm they come back by steps (AIMD).
// Pure; one thread, or a mutex of the caller; O(1), allocates nothing after the beginning.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "traffic/policy/sip_hash.h"

namespace evercert::traffic {

struct Rate {
  double per_second = 10;
  double burst = 20;  // so many at once, after a pause
};

class RateTable {
 public:
  // Room for at least `entries`, 16 bytes each.
  RateTable(Rate rate, std::size_t entries);

  // How long this key has to wait until it may come with `cost`, when the rate is `share` of the whole. 0: now.
  // Forever is not an answer: a cost above the burst counts as the burst.
  Duration wait(std::uint64_t key, double cost, double share, Instant now) const;
  // It came.
  void charge(std::uint64_t key, double cost, double share, Instant now);

 private:
  static constexpr std::size_t kWays = 8;
  struct Entry {
    std::uint64_t key = 0;
    std::int64_t paid_at_us = 0;  // when all it owes is paid
  };
  std::int64_t debt_us(double cost, double share) const;
  std::size_t set_of(std::uint64_t key) const { return (key & mask_) * kWays; }

  Rate rate_;
  std::uint64_t mask_;
  std::vector<Entry> entries_;
};

struct RateLimitOptions {
  Rate client{50, 200}, prefix{400, 1600}, account{20, 100};
  std::size_t clients = 65'536, prefixes = 16'384, accounts = 65'536;
  double least_share = 0.1, decrease = 0.7, increase = 0.05;
  Duration adapt_every = 1s;
};

// Who comes. What is empty is not counted.
struct Caller {
  std::string_view client;  // the identity of its certificate, else its address
  std::string_view address;
  std::string_view account;
  // An account that it says to be, and has not proved: what that one owes counts, and is not made more. Else anybody
  // could use up another's rate.
  std::string_view claimed = {};
};

enum class RateScope : std::uint8_t { kNone, kPrefix, kClient, kAccount };
struct RateRuling {
  bool admitted = true;
  RateScope by = RateScope::kNone;  // which limit refused
  Duration retry_after{0};          // then it may be tried again, if nothing else comes from there
};

class RateLimit {
 public:
  RateLimit(RateLimitOptions options, SipKey key);

  // Charged on all scopes or, when refused, on none. `cost`: 1 for a usual request. An address that is none counts on
  // one prefix with all of its kind: it is no way around the limit.
  RateRuling ask(const Caller& caller, double cost, Instant now);
  // A caller with `claimed` has proved it afterwards: now it is charged.
  void proved(std::string_view account, double cost, Instant now);
  // Once in a while, at least as often as `adapt_every`: is the process overloaded (Admission::pressure,
  // GradientLimit)?
  void adapt(bool overloaded, Instant now);
  double share() const { return share_; }

 private:
  std::uint64_t key_of(RateScope scope, std::string_view name) const;

  RateLimitOptions options_;
  SipKey key_;
  RateTable prefixes_, clients_, accounts_;
  double share_ = 1;
  bool adapted_ = false;
  Instant adapted_at_;
};

// For the header Retry-After (RFC 9110 section 10.2.3): whole seconds, rounded up, at least 1.
std::int64_t retry_after_seconds(Duration wait);

}  // namespace evercert::traffic
