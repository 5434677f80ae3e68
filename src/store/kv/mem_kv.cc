// SPDX-License-Identifier: Apache-2.0
#include "store/kv/mem_kv.h"

namespace evercert::store {
namespace {

using Data = std::map<std::string, std::string>;
using Rotten = std::set<std::string>;

Status damaged() { return fail(Code::kCorrupt, "a record of the state fails its checksum"); }

Status visit_range(const Data& data, const Rotten& rotten, const std::string& from, const std::string& to,
                   std::size_t limit, const KvVisitor& visit) {
  for (auto it = data.lower_bound(from); it != data.end() && it->first < to && limit > 0; ++it, --limit) {
    if (!rotten.empty() && rotten.contains(it->first)) return damaged();
    if (!visit(it->first, it->second)) break;
  }
  return {};
}

class MemSnapshot : public KvSnapshot {
 public:
  MemSnapshot(Data data, Rotten rotten) : data_(std::move(data)), rotten_(std::move(rotten)) {}
  Status scan(const std::string& from, const std::string& to, std::size_t limit,
              const KvVisitor& visit) const override {
    return visit_range(data_, rotten_, from, to, limit, visit);
  }

 private:
  Data data_;
  Rotten rotten_;
};

}  // namespace

Result<std::optional<std::string>> MemKv::get(const std::string& key) const {
  std::lock_guard lock(mutex_);
  if (!rotten_.empty() && rotten_.contains(key)) return fail(damaged().error());
  const auto found = data_.find(key);
  return found == data_.end() ? std::optional<std::string>{} : std::optional(found->second);
}

Status MemKv::write(const WriteBatch& batch) {
  std::lock_guard lock(mutex_);
  Undo undo;
  const auto remember = [&](const std::string& key) {
    const auto found = data_.find(key);
    undo.emplace_back(key, found == data_.end() ? std::optional<std::string>{} : std::optional(found->second));
  };
  for (const auto& change : batch.changes()) {
    switch (change.kind) {
      case WriteBatch::Change::Kind::kPut:
        remember(change.key);
        data_[change.key] = change.value;
        rotten_.erase(change.key);
        break;
      case WriteBatch::Change::Kind::kRemove:
        remember(change.key);
        data_.erase(change.key);
        rotten_.erase(change.key);
        break;
      case WriteBatch::Change::Kind::kRemoveRange:
        rotten_.erase(rotten_.lower_bound(change.key), rotten_.lower_bound(change.value));
        for (auto it = data_.lower_bound(change.key); it != data_.end() && it->first < change.value;) {
          undo.emplace_back(it->first, it->second);
          it = data_.erase(it);
        }
        break;
    }
  }
  undo_.push_back(std::move(undo));
  return {};
}

Status MemKv::scan(const std::string& from, const std::string& to, std::size_t limit, const KvVisitor& visit) const {
  std::lock_guard lock(mutex_);
  return visit_range(data_, rotten_, from, to, limit, visit);
}

Status MemKv::flush() {
  std::lock_guard lock(mutex_);
  undo_.clear();
  return {};
}

std::unique_ptr<KvSnapshot> MemKv::snapshot() const {
  std::lock_guard lock(mutex_);
  return std::make_unique<MemSnapshot>(data_, rotten_);
}

void MemKv::crash(Random& random) {
  std::lock_guard lock(mutex_);
  for (std::uint64_t lost = random.below(undo_.size() + 1); lost > 0; --lost) {
    for (auto it = undo_.back().rbegin(); it != undo_.back().rend(); ++it) {
      if (it->second) {
        data_[it->first] = *it->second;
      } else {
        data_.erase(it->first);
      }
    }
    undo_.pop_back();
  }
  undo_.clear();
}

bool MemKv::rot(std::uint64_t where) {
  std::lock_guard lock(mutex_);
  if (data_.empty()) return false;
  auto chosen = data_.begin();
  std::advance(chosen, static_cast<std::ptrdiff_t>(where % data_.size()));
  rotten_.insert(chosen->first);
  return true;
}

}  // namespace evercert::store
