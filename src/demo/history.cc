// SPDX-License-Identifier: Apache-2.0
#include "demo/history.h"

#include <algorithm>

namespace evercert::demo {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kIssue: return "issue";
    case Kind::kRevoke: return "revoke";
    case Kind::kOcsp: return "ocsp";
    case Kind::kGet: return "get";
    case Kind::kCrl: return "crl";
    case Kind::kAcme: return "acme";
  }
  return "?";
}

double quantile_ms(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::ptrdiff_t>(p * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<std::size_t>(rank)];
}

void History::finished(Operation operation) {
  std::lock_guard lock(mutex_);
  operations_.push_back(operation);
}

void History::issued(const std::string& serial, int issuer) {
  std::lock_guard lock(mutex_);
  if (!certificates_.try_emplace(serial, Known{serial, issuer, false}).second) ++duplicates_;
  order_.push_back(serial);
}

void History::revoked(const std::string& serial) {
  std::lock_guard lock(mutex_);
  certificates_[serial].revoked = true;
}

void History::wrong_answer(std::string what) {
  std::lock_guard lock(mutex_);
  wrong_.push_back(std::move(what));
}

void History::failure(std::string what) {
  std::lock_guard lock(mutex_);
  failures_.push_back(std::move(what));
}

std::optional<History::Known> History::pick(std::uint64_t random) const {
  std::lock_guard lock(mutex_);
  if (order_.empty()) return std::nullopt;
  const std::size_t recent = std::min<std::size_t>(order_.size(), 200);
  return certificates_.at(order_[order_.size() - 1 - random % recent]);
}

std::optional<History::Known> History::pick_to_revoke(std::uint64_t random) {
  std::lock_guard lock(mutex_);
  for (int attempt = 0; attempt < 10 && !order_.empty(); ++attempt) {
    const std::string& serial = order_[(random + static_cast<std::uint64_t>(attempt) * 7919) % order_.size()];
    if (being_revoked_.insert(serial).second) return certificates_.at(serial);
  }
  return std::nullopt;
}

History::Known History::expectation(const std::string& serial) const {
  std::lock_guard lock(mutex_);
  return certificates_.at(serial);
}

History::Row History::row(int region, Instant now) const {
  std::lock_guard lock(mutex_);
  Row row;
  std::vector<double> recent;
  for (const auto& operation : operations_) {
    if (operation.region != region) continue;
    ++row.requests;
    row.failures += operation.ok ? 0 : 1;
    if (operation.ok && operation.kind == Kind::kIssue && now - operation.ended < 5s) {
      recent.push_back(static_cast<double>((operation.ended - operation.begun).count()) / 1000);
    }
  }
  row.p50_ms = quantile_ms(recent, 0.5);
  row.p99_ms = quantile_ms(recent, 0.99);
  return row;
}

std::vector<Operation> History::operations() const {
  std::lock_guard lock(mutex_);
  return operations_;
}
std::map<std::string, History::Known> History::certificates() const {
  std::lock_guard lock(mutex_);
  return certificates_;
}
std::uint64_t History::duplicates() const {
  std::lock_guard lock(mutex_);
  return duplicates_;
}
std::vector<std::string> History::wrong_answers() const {
  std::lock_guard lock(mutex_);
  return wrong_;
}
std::vector<std::string> History::failures() const {
  std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace evercert::demo
