// SPDX-License-Identifier: Apache-2.0
#include "api/rest/json_body.h"

#include <algorithm>
#include <charconv>

namespace evercert::api {
namespace {

// Texts like this become part of what is replicated, so they must be ones that every record can hold.
Result<std::string> visible(const net::HttpRequest& request, const char* header) {
  constexpr std::size_t kLongest = 255;
  std::string text = request.headers.get(header);
  if (text.size() > kLongest)
    return fail(Code::kInvalid, std::string(header) + " is longer than " + std::to_string(kLongest) + " characters");
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }))
    return fail(Code::kInvalid, std::string(header) + " may hold ASCII characters alone, and no control characters");
  return text;
}

}  // namespace

using nlohmann::json;

Result<json> read_object(const net::HttpRequest& request) {
  // No exceptions; depth is bounded by the size of the body.
  auto body = json::parse(request.body, nullptr, false);
  if (body.is_discarded() || !body.is_object()) return fail(Code::kInvalid, "the body must be a JSON object");
  return body;
}

Result<std::string> required_text(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string())
    return fail(Code::kInvalid, std::string("the body needs '") + name + "' as a text");
  return found->get<std::string>();
}

Result<std::string> short_text(const json& object, const char* name, std::size_t most) {
  EC_ASSIGN(auto text, required_text(object, name));
  if (text.size() > most)
    return fail(Code::kInvalid, std::string("'") + name + "' is longer than " + std::to_string(most) + " bytes");
  return text;
}

Result<std::string> idempotency_key(const net::HttpRequest& request) { return visible(request, "Idempotency-Key"); }

Result<std::string> request_id(const net::HttpRequest& request) {
  EC_ASSIGN(auto key, idempotency_key(request));
  return key.empty() ? visible(request, "Evercert-Request-Id") : Result<std::string>(std::move(key));
}

Status only_members(const json& object, std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return fail(Code::kInvalid, "unknown member '" + name.substr(0, 64) + "' in the body");
    }
  }
  return {};
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    const auto equals = pair.find('=');
    if (pair.substr(0, equals) == name)
      return std::string(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
  }
  return std::nullopt;
}

Status read_limit(const net::HttpRequest& request, std::size_t& limit) {
  const auto text = query_value(request.query, "limit");
  if (!text) return {};
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), limit);
  if (parsed.ec != std::errc{} || parsed.ptr != text->data() + text->size() || limit < 1 || limit > 1000)
    return fail(Code::kInvalid, "'limit' must be a number from 1 to 1000");
  return {};
}

}  // namespace evercert::api
