// SPDX-License-Identifier: Apache-2.0
#include "ca/status_changes.h"

#include <utility>

namespace evercert::ca {

void StatusChanges::changed(std::string serial) {
  std::lock_guard lock(mutex_);
  ++position_.number;
  last_.push_back(std::move(serial));
  if (last_.size() > most_) last_.pop_front();
}

void StatusChanges::replaced(std::uint64_t incarnation) {
  std::lock_guard lock(mutex_);
  position_.incarnation = incarnation;
  last_.clear();
}

StatusChanges::Position StatusChanges::position() const {
  std::lock_guard lock(mutex_);
  return position_;
}

StatusChanges::News StatusChanges::since(Position seen) const {
  std::lock_guard lock(mutex_);
  News news{position_, false, {}};
  const bool known = seen.incarnation == position_.incarnation && seen.number <= position_.number &&
                     position_.number - seen.number <= last_.size();
  if (!known) {
    news.everything = true;
    return news;
  }
  const auto first = last_.end() - static_cast<std::ptrdiff_t>(position_.number - seen.number);
  news.serials.assign(first, last_.end());
  return news;
}

}  // namespace evercert::ca
