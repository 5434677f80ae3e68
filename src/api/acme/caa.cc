// SPDX-License-Identifier: Apache-2.0
#include "api/acme/caa.h"

#include <algorithm>
#include <cstdlib>

namespace evercert::api {
namespace {

// Far below what CAs may keep records for (8 hours); many orders under one parent share a look-up.
constexpr Duration kKeep = 60s;
constexpr std::size_t kMostKept = 10'000;

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : static_cast<char>(c);
  });
  return out;
}

// Up to `separator`, which is taken away with it.
std::string_view next_part(std::string_view& text, char separator) {
  const auto at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return trimmed(part);
}

struct Property {
  bool critical = false;
  std::string tag;
  std::string_view value;
};

Property property_of(std::string_view record) {
  const std::string flags(next_part(record, ' '));
  const std::string_view tag = next_part(record, ' ');
  return {(std::strtoul(flags.c_str(), nullptr, 10) & 128) != 0, lower(tag), trimmed(record)};
}

bool names_account(std::string_view uri, const CaaQuestion& question) {
  return uri.starts_with("https://") && uri.substr(8).find('/') != std::string_view::npos &&
         uri.substr(8).substr(uri.substr(8).find('/')) == "/acme/acct/" + question.account_id;
}

bool lists_method(std::string_view methods, const CaaQuestion& question) {
  while (!methods.empty()) {
    if (next_part(methods, ',') == question.method) return true;
  }
  return false;
}

// The value of an "issue" or "issuewild" (RFC 8659 section 4.2): a domain and parameters. All that it asks for must
// hold; one that cannot be read lets nobody issue.
bool permits(std::string_view value, std::string_view identity, const CaaQuestion& question) {
  if (identity.empty() || lower(next_part(value, ';')) != lower(identity)) return false;
  bool account_named = false;
  while (!value.empty()) {
    std::string_view parameter = next_part(value, ';');
    if (parameter.empty()) continue;
    if (parameter.find('=') == std::string_view::npos) return false;
    const std::string tag = lower(next_part(parameter, '='));
    const std::string_view asked = trimmed(parameter);
    // RFC 8657 section 3: two of them can never hold.
    if (tag == "accounturi" && (std::exchange(account_named, true) || !names_account(asked, question))) return false;
    if (tag == "validationmethods" && !lists_method(asked, question)) return false;
  }
  return true;
}

}  // namespace

// Sections 4.1 to 4.3: a critical property that is not known forbids; "issuewild" decides about wildcards when there is
// one, "issue" about everything else.
bool caa_allows(const std::vector<std::string>& records, std::string_view identity, const CaaQuestion& question) {
  bool wild_seen = false;
  for (const auto& record : records) {
    const Property property = property_of(record);
    const bool known = property.tag == "issue" || property.tag == "issuewild" || property.tag == "iodef";
    if (property.critical && !known) return false;
    wild_seen = wild_seen || property.tag == "issuewild";
  }
  const char* const tag = question.wildcard && wild_seen ? "issuewild" : "issue";
  bool relevant = false, allowed = false;
  for (const auto& record : records) {
    const Property property = property_of(record);
    if (property.tag != tag) continue;
    relevant = true;
    allowed = allowed || permits(property.value, identity, question);
  }
  return !relevant || allowed;
}

// Section 3: the closest ancestor with records decides.
Task<std::optional<AcmeError>> CaaCheck::refuse(Executor& on, CaaQuestion question) {
  std::string at = question.name;
  while (!at.empty()) {
    const auto records = co_await records_at(on, at, at.size() != question.name.size());
    if (!records) co_return AcmeError{400, "caa", records.error().message};
    if (!records->empty()) {
      if (!caa_allows(*records, identity_, question))
        co_return AcmeError{403, "caa", "CAA records at " + at + " do not allow this CA to issue"};
      break;
    }
    const auto dot = at.find('.');
    at = dot == std::string::npos ? "" : at.substr(dot + 1);
  }
  co_return std::nullopt;
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
