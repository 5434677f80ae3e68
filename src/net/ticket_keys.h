// SPDX-License-Identifier: Apache-2.0
// The keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), made from a secret and the time. Servers with the
// same secret and about the same time accept each other's tickets without a word between them, and go on to do so after
// a restart. A key makes tickets for one period and is accepted in the next one. Any thread.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace evercert::net {

struct TicketKey {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> cipher, mac;  // AES-256-CBC, HMAC-SHA-256
};

class TicketKeys {
 public:
  static constexpr std::int64_t kPeriodSeconds = 12 * 3600;
  // Whose clock is off by less than this is understood.
  static constexpr std::int64_t kSkewSeconds = 3600;

  // `secret`: 32 bytes or more that nobody can guess.
  explicit TicketKeys(std::string secret) { secrets_.push_back(std::move(secret)); }

  // From now on `secret` makes the tickets; the one before is still accepted. Nothing when it is the same.
  void change(std::string secret);

  TicketKey newest(WallTime now);
  struct Found {
    TicketKey key;
    bool newest;  // else the client should get a new ticket
  };
  std::optional<Found> find(std::string_view name, WallTime now);

 private:
  struct Made {
    std::int64_t period;
    TicketKey key;
  };
  void make(WallTime now);

  std::mutex mutex_;
  std::vector<std::string> secrets_;  // the newest first, two at most
  std::int64_t made_for_ = -1;        // seconds
  std::vector<Made> made_;            // the first makes tickets
};

}  // namespace evercert::net
