// SPDX-License-Identifier: Apache-2.0
// Equal reads at the same time are asked for once. Source: nginx's proxy_cache_lock, Go's singleflight, and the rule of
// ocsp_copies.h: who needs what was true after it began must not join a flight that has already left, because that may
// have read before the write that this reader knows of. Such readers share the next one.
// Pure; one thread, or a mutex of the caller. Bounded in keys and in waiters for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"

namespace evercert::traffic {

enum class Freshness : std::uint8_t {
  kAny,    // it never changes (an issuer's certificate): a flight in the air will do
  kFresh,  // as of the asker's beginning
};

enum class Boarding : std::uint8_t {
  kLeads,     // ask now, and call landed()
  kWaits,     // the waiter is kept, and is among those that landed() gives back
  kByItself,  // no room: ask alone, without landed(); the waiter was not kept
};

template <class Key, class Waiter, class Hash = std::hash<Key>>
class SingleFlight {
 public:
  SingleFlight(std::size_t most_keys, std::size_t most_waiters) : most_keys_(most_keys), most_waiters_(most_waiters) {}

  struct Landing {
    std::vector<Waiter> answered;  // the leader is not among them
    std::optional<Waiter> leads;   // of those who need one that leaves after now: it asks, and calls landed()
  };

  Boarding board(const Key& key, Freshness freshness, Waiter waiter) {
    auto found = flights_.find(key);
    if (found == flights_.end()) {
      if (flights_.size() >= most_keys_) return Boarding::kByItself;
      flights_.emplace(key, Flight{});
      return Boarding::kLeads;
    }
    Flight& flight = found->second;
    if (flight.aboard.size() + flight.next.size() >= most_waiters_) return Boarding::kByItself;
    (freshness == Freshness::kAny ? flight.aboard : flight.next).push_back(std::move(waiter));
    return Boarding::kWaits;
  }

  // The leader's answer (or failure) is there: it is for all of `answered`.
  Landing landed(const Key& key) {
    auto found = flights_.find(key);
    EC_CHECK(found != flights_.end(), "a flight landed that never left");
    Landing out;
    out.answered = std::move(found->second.aboard);
    if (found->second.next.empty()) {
      flights_.erase(found);
      return out;
    }
    found->second.aboard = std::exchange(found->second.next, {});
    out.leads = std::move(found->second.aboard.front());
    found->second.aboard.erase(found->second.aboard.begin());
    return out;
  }
  std::size_t flights() const { return flights_.size(); }

 private:
  struct Flight {
    std::vector<Waiter> aboard, next;
  };
  std::size_t most_keys_, most_waiters_;
  std::unordered_map<Key, Flight, Hash> flights_;
};

}  // namespace evercert::traffic
