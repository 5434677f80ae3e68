// SPDX-License-Identifier: Apache-2.0
// When leases run out. Every replica counts, from the moment it applied a grant or a renewal, and begins anew when the
// group has another leader; only what the leader finds due goes to the log, with the number of renewals that it knew,
// so that a renewal that came before it there wins. A lease is given a thirty-second part more than was granted: clocks
// of holder and leader may differ so much in speed. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "base/time.h"
#include "coordination/machine.h"

namespace evercert::coordination {

class LeaseClock {
 public:
  explicit LeaseClock(Bug bug = Bug::kNone) : bug_(bug) {}

  // All leases there are: at a start, or after a snapshot.
  void reset(const std::vector<v1::Lease>& leases, Instant now);
  void changed(const Effects::LeaseChange& change, Instant now);
  // There is another leader, perhaps after a time in which nobody could renew: each lease begins anew.
  void restart(Instant now);
  // For the leader: those that have run out. What does not end is named again a second later.
  std::vector<v1::Expire> due(Instant now);
  // As far as this replica can say; nullopt: no such lease.
  std::optional<Duration> remaining(std::int64_t lease, Instant now) const;

 private:
  struct Entry {
    v1::Lease lease;
    Instant deadline;
  };
  void set(Entry& entry, Instant deadline);
  static Duration time_of(const v1::Lease& lease);

  Bug bug_;
  mutable std::mutex mutex_;
  std::map<std::int64_t, Entry> leases_;
  std::set<std::pair<Instant, std::int64_t>> by_deadline_;
};

}  // namespace evercert::coordination
