// SPDX-License-Identifier: Apache-2.0
// What readers on any thread need in order to know that their reads are fresh: until when the region's lease holds and
// which records have entries in the log that are not applied yet. Written by the store's thread alone.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace evercert::store {

// The log's tail of one group, indexed by record.
class TailIndex {
 public:
  // An entry at `index` that changes `records` is in the log. Indexes must come in order.
  void appended(LogIndex index, std::vector<std::string> records);
  // Entries from `index` on were overwritten by another leader's.
  void truncated_from(LogIndex index);
  void applied_to(LogIndex index);
  // The last entry on `record` that is not applied; LogIndex{0} when there is none. Any thread.
  LogIndex pending(std::string_view record) const;
  // Serials whose revocation is not applied. Any thread.
  std::vector<std::string> pending_revocations() const;

 private:
  struct Entry {
    LogIndex index;
    std::vector<std::string> records;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  void forget(const Entry& entry);

  mutable std::shared_mutex mutex_;
  std::deque<Entry> entries_;
  std::size_t revocations_ = 0;  // records among them that are revocations
  std::unordered_map<std::string, std::vector<LogIndex>, Hash, std::equal_to<>> by_record_;
};

// All groups of a node.
class FreshnessBoard {
 public:
  explicit FreshnessBoard(std::size_t groups);

  TailIndex& tail(GroupId group) const { return groups_[group.value]->tail; }
  // `alone`: this node is its region's only voter, so that a lease and the own log are enough (with several, a reader
  // must ask its neighbours for the ends of their logs).
  void set_leased_until(GroupId group, Instant until, bool alone) {
    groups_[group.value]->alone.store(alone, std::memory_order_release);
    groups_[group.value]->leased_until_us.store(until.us, std::memory_order_release);
  }
  // The order is the rule: first the lease is seen valid, then the tail is looked at. Any thread.
  bool fresh_now(GroupId group, std::string_view record, Instant now) const;
  bool leased(GroupId group, Instant now) const {
    return now.us < groups_[group.value]->leased_until_us.load(std::memory_order_acquire);
  }

 private:
  struct Group {
    std::atomic<std::int64_t> leased_until_us{0};
    std::atomic<bool> alone{false};
    TailIndex tail;
  };
  std::vector<std::unique_ptr<Group>> groups_;
};

}  // namespace evercert::store
