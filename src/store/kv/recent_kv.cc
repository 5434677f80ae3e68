// SPDX-License-Identifier: Apache-2.0
#include "store/kv/recent_kv.h"

namespace evercert::store {

RecentKv::Slot& RecentKv::slot(std::string_view key) const {
  return slots_[std::hash<std::string_view>{}(key) & (kSlots - 1)];
}

void RecentKv::forget_all() {
  for (Slot& one : slots_) one = {};
}

Result<std::optional<std::string>> RecentKv::get(const std::string& key) const {
  Slot& own = slot(key);
  if (own.used && own.key == key) return own.value;
  EC_ASSIGN(auto value, kv_.get(key));
  if (!value || value->size() <= kLongestValue) own = {true, key, value};
  return value;
}

Status RecentKv::write(const WriteBatch& batch) {
  if (const Status written = kv_.write(batch); !written) {
    forget_all();
    return written;
  }
  if (forgets_to_forget_) return {};
  for (const auto& change : batch.changes()) {
    if (change.kind == WriteBatch::Change::Kind::kRemoveRange) {
      for (Slot& one : slots_) {
        if (one.used && one.key >= change.key && one.key < change.value) one = {};
      }
      continue;
    }
    Slot& own = slot(change.key);
    if (!own.used || own.key != change.key) continue;
    if (change.kind == WriteBatch::Change::Kind::kRemove) {
      own.value.reset();
    } else if (change.value.size() <= kLongestValue) {
      own.value = change.value;
    } else {
      own = {};
    }
  }
  return {};
}

Status RecentKv::take_over(const std::string& run, const std::string& from, const std::string& to, WriteBatch finally) {
  forget_all();
  return kv_.take_over(run, from, to, std::move(finally));
}

}  // namespace evercert::store
