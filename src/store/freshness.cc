// SPDX-License-Identifier: Apache-2.0
#include "store/freshness.h"

#include <algorithm>

#include "store/keys.h"

namespace evercert::store {

void TailIndex::appended(LogIndex index, std::vector<std::string> records) {
  if (records.empty()) return;
  std::unique_lock lock(mutex_);
  for (const auto& record : records) {
    by_record_[record].push_back(index);
    revocations_ += record.starts_with(kRevocationPrefix) ? 1 : 0;
  }
  entries_.push_back({index, std::move(records)});
}

void TailIndex::forget(const Entry& entry) {
  for (const auto& record : entry.records) {
    const auto found = by_record_.find(record);
    revocations_ -= record.starts_with(kRevocationPrefix) ? 1 : 0;
    std::erase(found->second, entry.index);
    if (found->second.empty()) by_record_.erase(found);
  }
}

void TailIndex::truncated_from(LogIndex index) {
  std::unique_lock lock(mutex_);
  while (!entries_.empty() && entries_.back().index >= index) {
    forget(entries_.back());
    entries_.pop_back();
  }
}

void TailIndex::applied_to(LogIndex index) {
  std::unique_lock lock(mutex_);
  while (!entries_.empty() && entries_.front().index <= index) {
    forget(entries_.front());
    entries_.pop_front();
  }
}

LogIndex TailIndex::pending(std::string_view record) const {
  std::shared_lock lock(mutex_);
  const auto found = by_record_.find(record);
  return found == by_record_.end() ? LogIndex{0} : found->second.back();
}

std::vector<std::string> TailIndex::pending_revocations() const {
  std::shared_lock lock(mutex_);
  std::vector<std::string> serials;
  if (revocations_ == 0) return serials;
  for (const auto& entry : entries_) {
    for (const auto& record : entry.records) {
      if (record.starts_with(kRevocationPrefix)) serials.push_back(record.substr(kRevocationPrefix.size()));
    }
  }
  return serials;
}

FreshnessBoard::FreshnessBoard(std::size_t groups) {
  for (std::size_t g = 0; g < groups; ++g) groups_.push_back(std::make_unique<Group>());
}

bool FreshnessBoard::fresh_now(GroupId group, std::string_view record, Instant now) const {
  // In this order: a lease under more voters is published after them.
  if (!leased(group, now) || !groups_[group.value]->alone.load(std::memory_order_acquire)) return false;
  return groups_[group.value]->tail.pending(record) == LogIndex{0};
}

}  // namespace evercert::store
