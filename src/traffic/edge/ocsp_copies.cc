// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/ocsp_copies.h"

#include <algorithm>
#include <unordered_set>

namespace evercert::traffic {
namespace {

constexpr std::size_t kKeysPerCopy = 4;  // a client can write one request in many ways
constexpr std::size_t kChangesKept = 1024;

// The serial's first byte is its group.
std::uint64_t group_bit(const std::string& serial) {
  const auto group = serial.empty() ? 0u : static_cast<unsigned>(static_cast<std::uint8_t>(serial[0]));
  return group < 64 ? std::uint64_t{1} << group : 0;
}

}  // namespace

std::size_t OcspCopies::weight(const OcspCopy& copy) {
  // The answer may lie here three times: bare, and in the prepared answers to GET and POST.
  std::size_t bytes = 3 * copy.der->size() + 2 * copy.id.size() + copy.serial.size() + 512;
  for (const auto& key : copy.keys) bytes += 2 * key.size();
  return bytes;
}

std::shared_ptr<OcspCopy> OcspCopies::find(std::string_view key, Instant now) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() || found->second->renew <= now ? nullptr : found->second;
}

std::shared_ptr<OcspCopy> OcspCopies::find_id(std::string_view key, const std::string& id, Instant now) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second->renew <= now) return nullptr;
  auto copy = found->second;
  add_key(copy, key);
  return copy;
}

bool OcspCopies::join(OcspWaiter& waiter) {
  waiter.confirmed = false;
  if (under_way_ && bug_ == OcspBug::kJoinUnderWay) {
    asking_.push_back(&waiter);
    return false;
  }
  joined_.push_back(&waiter);
  return !under_way_ && joined_.size() == 1;
}

net::v1::OcspCheck OcspCopies::leave() {
  asking_ = std::move(joined_);
  joined_.clear();
  under_way_ = true;
  net::v1::OcspCheck check;
  check.mutable_since()->set_incarnation(incarnation_);
  check.mutable_since()->set_number(number_);
  return check;
}

std::vector<OcspWaiter*> OcspCopies::ended(const net::v1::OcspNews* news, Instant now) {
  under_way_ = false;
  auto settled = std::exchange(asking_, {});
  if (news == nullptr) return settled;
  take_in(*news);
  const std::unordered_set<std::string> pending(news->pending().begin(), news->pending().end());
  for (OcspWaiter* waiter : settled) {
    const OcspCopy& copy = *waiter->copy;
    const bool fresh = (news->fresh_groups() & group_bit(copy.serial)) != 0 || bug_ == OcspBug::kIgnoreGroups;
    const bool uncertain = bug_ != OcspBug::kIgnorePending && !pending.empty() && pending.contains(copy.serial);
    waiter->confirmed = !copy.dropped && fresh && !uncertain && copy.renew > now;
  }
  return settled;
}

void OcspCopies::take_in(const net::v1::OcspNews& news) {
  const auto& position = news.position();
  const bool same_list = position.incarnation() == incarnation_ || bug_ == OcspBug::kForgetIncarnation;
  const auto listed = static_cast<std::uint64_t>(news.changed_size());
  if (!same_list || (news.everything() && bug_ != OcspBug::kIgnoreEverything)) {
    drop_all();
    changes_.clear();
    known_from_ = position.number();
  } else {
    for (std::uint64_t i = 0; i < listed; ++i) {
      const std::string& serial = news.changed(static_cast<int>(i));
      drop_serial(serial);
      changes_.emplace_back(position.number() - listed + i + 1, serial);
    }
    while (changes_.size() > kChangesKept) {
      known_from_ = changes_.front().first;
      changes_.pop_front();
    }
  }
  incarnation_ = position.incarnation();
  number_ = position.number();
}

// Whether a revocation of `serial` after change `number` is known, or cannot be ruled out.
bool OcspCopies::changed_since(const std::string& serial, std::uint64_t number) const {
  if (number >= number_) return false;  // what came later, the next check will tell
  if (number < known_from_) return true;
  return std::any_of(changes_.begin(), changes_.end(),
                     [&](const auto& change) { return change.first > number && change.second == serial; });
}

void OcspCopies::fetched(std::string_view key, const net::v1::OcspStamp& stamp, std::shared_ptr<const std::string> der,
                         Instant now) {
  if (by_id_.empty() && !under_way_ && stamp.position().incarnation() != incarnation_) {
    // Nothing is kept: begin anew with the node that answers now.
    incarnation_ = stamp.position().incarnation();
    number_ = known_from_ = stamp.position().number();
    changes_.clear();
  }
  if (stamp.position().incarnation() != incarnation_ && bug_ != OcspBug::kForgetIncarnation) return;
  if (changed_since(stamp.serial(), stamp.position().number()) && bug_ != OcspBug::kKeepLate) return;
  const auto old = by_id_.find(stamp.certificate_id());
  if (old != by_id_.end()) drop(old->second);
  auto copy = std::make_shared<OcspCopy>();
  copy->id = stamp.certificate_id();
  copy->serial = stamp.serial();
  copy->der = std::move(der);
  copy->renew = now + std::chrono::seconds(stamp.renew_in_s());
  copy->expires = now + std::chrono::seconds(stamp.expires_in_s());
  copy->place = order_.insert(order_.end(), copy);
  bytes_ += weight(*copy);
  by_id_[copy->id] = copy;
  by_serial_[copy->serial].push_back(copy);
  add_key(copy, key);
  while (bytes_ > max_bytes_) drop(order_.front());
}

void OcspCopies::add_key(const std::shared_ptr<OcspCopy>& copy, std::string_view key) {
  const auto known = by_key_.find(key);
  if (known != by_key_.end() && known->second == copy) return;
  bytes_ -= weight(*copy);
  if (copy->keys.size() == kKeysPerCopy) {
    by_key_.erase(copy->keys.front());
    copy->keys.pop_front();
  }
  copy->keys.emplace_back(key);
  bytes_ += weight(*copy);
  by_key_[copy->keys.back()] = copy;
}

void OcspCopies::drop(std::shared_ptr<OcspCopy> copy) {
  copy->dropped = true;
  bytes_ -= weight(*copy);
  for (const auto& key : copy->keys) {
    const auto found = by_key_.find(key);
    if (found != by_key_.end() && found->second == copy) by_key_.erase(found);
  }
  by_id_.erase(copy->id);
  const auto of_serial = by_serial_.find(copy->serial);
  std::erase(of_serial->second, copy);
  if (of_serial->second.empty()) by_serial_.erase(of_serial);
  order_.erase(copy->place);
}

void OcspCopies::drop_serial(const std::string& serial) {
  for (auto found = by_serial_.find(serial); found != by_serial_.end(); found = by_serial_.find(serial))
    drop(found->second.front());
}

void OcspCopies::drop_all() {
  while (!order_.empty()) drop(order_.front());
}

}  // namespace evercert::traffic
