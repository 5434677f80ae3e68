// SPDX-License-Identifier: Apache-2.0
#include "coordination/lease_clock.h"

#include <algorithm>

namespace evercert::coordination {

Duration LeaseClock::time_of(const v1::Lease& lease) {
  const Duration granted = Duration{lease.ttl() * 1'000'000};
  return granted + granted / 32;
}

void LeaseClock::set(Entry& entry, Instant deadline) {
  by_deadline_.erase({entry.deadline, entry.lease.id()});
  entry.deadline = deadline;
  by_deadline_.emplace(deadline, entry.lease.id());
}

void LeaseClock::reset(const std::vector<v1::Lease>& leases, Instant now) {
  std::lock_guard lock(mutex_);
  leases_.clear();
  by_deadline_.clear();
  for (const auto& lease : leases) {
    Entry& entry = leases_[lease.id()];
    entry.lease = lease;
    set(entry, now + time_of(lease));
  }
}

void LeaseClock::changed(const Effects::LeaseChange& change, Instant now) {
  std::lock_guard lock(mutex_);
  if (change.gone) {
    const auto found = leases_.find(change.lease.id());
    if (found == leases_.end()) return;
    by_deadline_.erase({found->second.deadline, found->first});
    leases_.erase(found);
    return;
  }
  Entry& entry = leases_[change.lease.id()];
  entry.lease = change.lease;
  set(entry, now + time_of(change.lease));
}

void LeaseClock::restart(Instant now) {
  std::lock_guard lock(mutex_);
  for (auto& [id, entry] : leases_) set(entry, now + time_of(entry.lease) / (bug_ == Bug::kExpireEarly ? 20 : 1));
}

std::vector<v1::Expire> LeaseClock::due(Instant now) {
  std::lock_guard lock(mutex_);
  std::vector<v1::Expire> out;
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= now) {
    Entry& entry = leases_[by_deadline_.begin()->second];
    out.emplace_back().set_lease(entry.lease.id());
    out.back().set_renewals(entry.lease.renewals());
    set(entry, now + 1s);
  }
  return out;
}

std::optional<Duration> LeaseClock::remaining(std::int64_t lease, Instant now) const {
  std::lock_guard lock(mutex_);
  const auto found = leases_.find(lease);
  if (found == leases_.end()) return std::nullopt;
  const Duration granted{found->second.lease.ttl() * 1'000'000};
  return std::clamp(found->second.deadline - now, Duration{0}, granted);
}

}  // namespace evercert::coordination
