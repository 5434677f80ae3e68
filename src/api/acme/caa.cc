// SPDX-License-Identifier: Apache-2.0
#include "api/acme/caa.h"

namespace evercert::api {
namespace {

// Far below what CAs may keep records for (8 hours); many orders under one parent share a look-up.
constexpr Duration kKeep = 60s;
constexpr std::size_t kMostKept = 10'000;

}  // namespace

// Section 3: the closest ancestor with records decides.
Task<std::optional<AcmeError>> CaaCheck::refuse(Executor& on, std::string name, bool wildcard) {
  std::string at = name;
  while (!at.empty()) {
    const auto records = co_await records_at(on, at, at.size() != name.size());
    if (!records) co_return AcmeError{400, "caa", records.error().message};
    if (!records->empty()) {
      if (!allows(*records, wildcard))
        co_return AcmeError{403, "caa", "CAA records at " + at + " do not allow this CA to issue"};
      break;
    }
    const auto dot = at.find('.');
    at = dot == std::string::npos ? "" : at.substr(dot + 1);
  }
  co_return std::nullopt;
}

// Sections 4.2 and 4.3: "issuewild" decides about wildcards when there is one, "issue" about everything else.
bool CaaCheck::allows(const Records& records, bool wildcard) const {
  bool relevant = false, allowed = false, wild_seen = false;
  for (const auto& record : records) wild_seen = wild_seen || record.starts_with("issuewild ");
  const std::string tag = wildcard && wild_seen ? "issuewild " : "issue ";
  for (const auto& record : records) {
    if (!record.starts_with(tag)) continue;
    relevant = true;
    std::string value = record.substr(tag.size());
    value = value.substr(0, value.find(';'));
    while (!value.empty() && value.back() == ' ') value.pop_back();
    allowed = allowed || (!identity_.empty() && value == identity_);
  }
  return !relevant || allowed;
}

Task<Result<CaaCheck::Records>> CaaCheck::records_at(Executor& on, std::string name, bool keep) {
  if (keep) {
    std::lock_guard lock(mutex_);
    const auto found = known_.find(name);
    if (found != known_.end() && found->second.until > clock_.now()) co_return found->second.records;
  }
  auto records = co_await dns_.lookup(on, name, net::DnsType::kCaa);
  if (keep && records) {
    std::lock_guard lock(mutex_);
    if (known_.size() >= kMostKept) known_.clear();
    known_[name] = {*records, clock_.now() + kKeep};
  }
  co_return records;
}

}  // namespace evercert::api
