// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "store/catalog.h"

namespace evercert::store {

bool Transaction::in_removed_range(std::string_view key) const {
  return std::any_of(removed_ranges_.begin(), removed_ranges_.end(),
                     [&](const auto& range) { return key >= range.first && key < range.second; });
}

Result<std::optional<std::string>> Transaction::get(const std::string& key) const {
  const auto changed = changes_.find(key);
  if (changed != changes_.end()) return changed->second;
  if (in_removed_range(key)) return std::nullopt;
  for (const Found& found : found_) {
    if (found.key == key) return found.value;
  }
  EC_ASSIGN(auto value, read_(key));
  found_[next_found_++ % found_.size()] = {key, value};
  return value;
}

Status Transaction::scan(const std::string& from, const std::string& to, const KvVisitor& visit) const {
  auto next = changes_.lower_bound(from);
  bool going = true;
  // Changes with keys below `end` that were not visited yet.
  const auto visit_changes_below = [&](std::string_view end) {
    for (; going && next != changes_.end() && next->first < end; ++next) {
      if (next->second) going = visit(next->first, *next->second);
    }
  };
  EC_TRY(scan_(from, to, [&](std::string_view key, std::string_view value) {
    visit_changes_below(key);
    if (!going) return false;
    if (next != changes_.end() && next->first == key) {
      if (next->second) going = visit(key, *next->second);
      ++next;
    } else if (!in_removed_range(key)) {
      going = visit(key, value);
    }
    return going;
  }));
  visit_changes_below(to);
  return {};
}

void Transaction::note(char what, std::string_view one, std::string_view other) {
  if (!keeps_journal_) return;
  journal_ += what;
  for (const std::string_view text : {one, other}) {
    const auto length = static_cast<std::uint32_t>(text.size());
    for (int shift = 24; shift >= 0; shift -= 8) journal_ += static_cast<char>(length >> shift);
    journal_ += text;
  }
}

void Transaction::put(std::string key, std::string value) {
  if (std::exchange(errs_, false)) value += "\xf8\x3f\x01";  // a field that nobody knows
  note('+', key, value);
  changes_[std::move(key)] = std::move(value);
}

void Transaction::remove(std::string key) {
  note('-', key, {});
  changes_[std::move(key)] = std::nullopt;
}

void Transaction::remove_range(std::string from, std::string to) {
  if (from >= to) return;
  note('=', from, to);
  changes_.erase(changes_.lower_bound(from), changes_.lower_bound(to));
  removed_ranges_.emplace_back(std::move(from), std::move(to));
}

WriteBatch Transaction::take_changes() {
  WriteBatch batch;
  for (auto& [from, to] : std::exchange(removed_ranges_, {})) batch.remove_range(std::move(from), std::move(to));
  for (auto& [key, value] : changes_) {
    if (value) {
      batch.put(key, std::move(*value));
    } else {
      batch.remove(key);
    }
  }
  changes_.clear();
  found_ = {};
  return batch;
}

}  // namespace evercert::store
