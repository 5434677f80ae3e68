// SPDX-License-Identifier: Apache-2.0
#include "store/coordination_state.h"

#include "store/keys.h"

namespace evercert::store {
namespace {

std::string prefix() { return state_key(kGlobalGroup, kCoordinationRecord); }
std::string full(std::string_view key) { return prefix().append(key); }

KvVisitor without_prefix(const coordination::View::Visit& visit) {
  return [&visit, skip = prefix().size()](std::string_view key, std::string_view value) {
    return visit(key.substr(skip), value);
  };
}

class SnapshotView : public coordination::View {
 public:
  explicit SnapshotView(const Kv& kv) : snapshot_(kv.snapshot()) {}
  Result<std::optional<std::string>> get(const std::string& key) const override {
    std::optional<std::string> found;
    EC_TRY(snapshot_->scan(full(key), full(key) + '\0', 1, [&](std::string_view, std::string_view value) {
      found = value;
      return false;
    }));
    return found;
  }
  Status scan(const std::string& from, const std::string& to, const Visit& visit) const override {
    return snapshot_->scan(full(from), full(to), SIZE_MAX, without_prefix(visit));
  }

 private:
  std::unique_ptr<KvSnapshot> snapshot_;
};

}  // namespace

Result<std::optional<std::string>> CoordinationState::get(const std::string& key) const {
  return transaction_.get(full(key));
}
Status CoordinationState::scan(const std::string& from, const std::string& to, const Visit& visit) const {
  return transaction_.scan(full(from), full(to), without_prefix(visit));
}
void CoordinationState::put(std::string key, std::string value) { transaction_.put(full(key), std::move(value)); }
void CoordinationState::remove(std::string key) { transaction_.remove(full(key)); }
void CoordinationState::remove_range(std::string from, std::string to) {
  transaction_.remove_range(full(from), full(to));
}

std::unique_ptr<coordination::View> coordination_view(const Kv& kv) { return std::make_unique<SnapshotView>(kv); }

}  // namespace evercert::store
