// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/claims.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/encoding.h"

namespace evercert::traffic {
namespace {

using nlohmann::json;

// A JWS with a CSR of the largest key is far below; what is larger costs more to read than it is worth.
constexpr std::size_t kMostClaimBytes = 64 * 1024;
constexpr std::size_t kLongestAccount = 64;
constexpr std::string_view kAccounts = "/acme/acct/";

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<json> object_of(std::string_view text) {
  json read = json::parse(text, nullptr, false);
  if (!read.is_object()) return std::nullopt;
  return read;
}

std::optional<json> decoded(const json& jws, const char* member) {
  const auto text = from_base64url(text_of(jws, member));
  return text && !text->empty() ? object_of(*text) : std::nullopt;
}

std::string account_of(const json& header) {
  const std::string kid = text_of(header, "kid");
  const auto at = kid.rfind(kAccounts);
  if (at == std::string::npos) return {};
  std::string id = kid.substr(at + kAccounts.size());
  const bool sound = !id.empty() && id.size() <= kLongestAccount && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
  return sound ? id : std::string();
}

}  // namespace

Claims read_claims(const net::HttpRequest& request) {
  Claims claims;
  if (request.method != "POST" || request.body.size() > kMostClaimBytes) return claims;
  if (request.path == "/v1/certificates") {
    // Most are none, and are not read for that.
    if (request.body.find("\"replaces\"") == std::string::npos) return claims;
    const auto body = object_of(request.body);
    claims.renewal = body && !text_of(*body, "replaces").empty();
    return claims;
  }
  if (!request.path.starts_with("/acme/")) return claims;
  const auto jws = object_of(request.body);
  if (!jws) return claims;
  if (const auto header = decoded(*jws, "protected")) claims.account = account_of(*header);
  if (request.path != "/acme/new-order") return claims;
  const auto payload = decoded(*jws, "payload");
  claims.renewal = payload && !text_of(*payload, "replaces").empty();
  return claims;
}

}  // namespace evercert::traffic
