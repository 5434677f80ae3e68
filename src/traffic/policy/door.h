// SPDX-License-Identifier: Apache-2.0
// Who cannot be let in at once waits for a moment: most pressures are bursts, and are over before anybody has noticed.
// Bounded in number and, by class, in time. The more important class goes first; within a class the oldest, but the
// newest when the oldest has used up half of its patience: then the queue does not empty any more, and who came last
// can still be served in good time, while the old ones are about to be refused anyway. Source: Facebook's adaptive LIFO
// with a timeout ("Fail at scale", Maurer 2015); the classes are those of criticality.h.
//
// Pure: time and what the limit allows come in, tickets go out. One thread, or a mutex of the caller. O(1) for each who
// comes or goes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/time.h"
#include "traffic/policy/criticality.h"

namespace evercert::traffic {

struct DoorOptions {
  std::size_t most = 4096;  // wait at once, of all classes
  // How long each waits at most, by Criticality. Whoever brings work that must not be lost waits for longer than it
  // takes to elect a leader (1.5 s): while there is none nothing is answered, so the limits are full, and yet there is
  // no overload. What can be asked for again at no cost is refused soon.
  std::array<Duration, kCriticalities> patience{1s, 3s, 1s, 1s, 4s, 3s, 50ms, 25ms};
};

enum class Entry : std::uint8_t { kIn, kWaits, kRefused };

class Door {
 public:
  using Ticket = std::uint64_t;
  struct Arrival {
    Entry entry = Entry::kRefused;
    Ticket ticket = 0;                // of one that waits
    std::optional<Ticket> displaced;  // this one is refused for it: the newest of a class that is worth less
  };
  struct Turn {
    std::vector<Ticket> in, refused;
  };

  explicit Door(DoorOptions options = {}) : options_(options) {}

  // `admits(of, coming)`: may one more of this class begin, when so many were let in here and have not begun yet?
  template <class Admits>
  Arrival arrives(Criticality of, Instant now, Admits&& admits) {
    // Who waits goes first, but for those who are worth more.
    if (none_up_to(of) && admits(of, static_cast<double>(coming_))) return {Entry::kIn, 0, {}};
    Arrival out;
    if (waiting_ >= options_.most) {
      out.displaced = displace(of);
      if (!out.displaced) return out;
    }
    out.entry = Entry::kWaits;
    out.ticket = ++last_;
    queues_[at(of)].push_back({out.ticket, now});
    ++waiting_;
    return out;
  }

  // Room may have come, or time has passed: adds to `out` who is let in (each owes a begun()) and who is refused.
  template <class Admits>
  void turn(Instant now, Admits&& admits, Turn& out) {
    for (std::size_t c = 0; c < kCriticalities; ++c) {
      auto& queue = queues_[c];
      const Duration patience = options_.patience[c];
      while (!queue.empty() && now - queue.front().since >= patience) {
        out.refused.push_back(queue.front().ticket);
        queue.pop_front();
        --waiting_;
      }
    }
    for (std::size_t c = 0; c < kCriticalities; ++c) {
      auto& queue = queues_[c];
      while (!queue.empty()) {
        // What is not open for this class is not for those below it.
        if (!admits(static_cast<Criticality>(c), static_cast<double>(coming_))) return;
        const bool stands = now - queue.front().since >= options_.patience[c] / 2;
        out.in.push_back(stands ? queue.back().ticket : queue.front().ticket);
        stands ? queue.pop_back() : queue.pop_front();
        --waiting_;
        ++coming_;
      }
    }
  }
  // One that was let in by a turn is counted among those in flight from now on, or will never begin.
  void begun() {
    EC_CHECK(coming_ > 0, "more have begun than were let in");
    --coming_;
  }

  std::size_t coming() const { return coming_; }
  std::size_t waiting() const { return waiting_; }
  std::size_t waiting(Criticality of) const { return queues_[at(of)].size(); }
  Duration patience(Criticality of) const { return options_.patience[at(of)]; }

 private:
  struct Waiting {
    Ticket ticket;
    Instant since;
  };
  static std::size_t at(Criticality of) { return static_cast<std::size_t>(of); }
  bool none_up_to(Criticality of) const {
    if (waiting_ == 0) return true;
    return std::all_of(queues_.begin(), queues_.begin() + static_cast<std::ptrdiff_t>(at(of)) + 1,
                       [](const auto& queue) { return queue.empty(); });
  }
  std::optional<Ticket> displace(Criticality by) {
    for (std::size_t c = kCriticalities; c-- > at(by) + 1;) {
      auto& queue = queues_[c];
      if (queue.empty()) continue;
      const Ticket ticket = queue.back().ticket;
      queue.pop_back();
      --waiting_;
      return ticket;
    }
    return std::nullopt;
  }

  DoorOptions options_;
  std::array<std::deque<Waiting>, kCriticalities> queues_;
  std::size_t waiting_ = 0, coming_ = 0;
  Ticket last_ = 0;
};

}  // namespace evercert::traffic
