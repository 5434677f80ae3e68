// SPDX-License-Identifier: Apache-2.0
#include "api/acme/identifiers.h"

#include <arpa/inet.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "api/acme/documents.h"

namespace evercert::api {
namespace {

using nlohmann::json;

Result<std::string> canonical_dns(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  EC_TRY(pki::check_dns_name(name, true));
  return name;
}

// As OpenSSL and we ourselves write it: RFC 5952.
Result<std::string> canonical_ip(const std::string& text) {
  unsigned char bytes[16];
  char out[INET6_ADDRSTRLEN];
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, text.c_str(), bytes) == 1) return std::string(inet_ntop(family, bytes, out, sizeof out));
  }
  return fail(Code::kInvalid, "'" + text.substr(0, 100) + "' is not an IP address");
}

// One problem tells all that is wrong with the identifiers; several are of one type when their parts are.
AcmeError rejected(std::vector<AcmeError::Part> parts, std::size_t asked) {
  const bool alike = std::all_of(parts.begin(), parts.end(), [&](const auto& p) { return p.type == parts[0].type; });
  AcmeError error{400, alike ? parts[0].type : "malformed", parts[0].detail};
  if (parts.size() > 1) error.detail = std::to_string(parts.size()) + " identifiers are not issued: see subproblems";
  if (asked > 1) error.parts = std::move(parts);
  return error;
}

}  // namespace

AcmeResult<std::vector<store::v1::Identifier>> read_identifiers(const json& payload) {
  const auto list = payload.is_object() ? payload.find("identifiers") : payload.end();
  if (!payload.is_object() || list == payload.end() || !list->is_array() || list->empty())
    return std::unexpected(AcmeError{400, "malformed", "'identifiers' must be a list with at least one"});
  if (list->size() > pki::kMaxNames)
    return std::unexpected(AcmeError{400, "rejectedIdentifier", "at most 100 identifiers"});
  std::vector<AcmeError::Part> wrong;
  std::map<std::pair<std::string, std::string>, store::v1::Identifier> found;
  for (const auto& entry : *list) {
    const std::string type = entry.is_object() ? text_member(entry, "type") : "";
    const std::string value = entry.is_object() ? text_member(entry, "value") : "";
    if (type.empty() || value.empty())
      return std::unexpected(AcmeError{400, "malformed", "an identifier has 'type' and 'value'"});
    if (type != "dns" && type != "ip") {
      wrong.push_back({"unsupportedIdentifier", "identifiers of type dns and ip are issued", type, value});
      continue;
    }
    const auto canonical = type == "dns" ? canonical_dns(value) : canonical_ip(value);
    if (!canonical) {
      wrong.push_back({"rejectedIdentifier", canonical.error().message, type, value});
      continue;
    }
    auto& identifier = found[{type, *canonical}];
    identifier.set_type(type);
    identifier.set_value(*canonical);
  }
  if (!wrong.empty()) return std::unexpected(rejected(std::move(wrong), list->size()));
  std::vector<store::v1::Identifier> out;
  for (auto& [key, identifier] : found) out.push_back(std::move(identifier));
  return out;
}

bool same_names(const store::v1::Order& order, const std::vector<pki::Name>& names) {
  std::vector<pki::Name> asked = names, ordered;
  for (const auto& identifier : order.identifiers()) {
    ordered.push_back({identifier.type() == "ip" ? pki::NameKind::kIp : pki::NameKind::kDns, identifier.value()});
  }
  std::sort(asked.begin(), asked.end());
  std::sort(ordered.begin(), ordered.end());
  return asked == ordered;
}

}  // namespace evercert::api
