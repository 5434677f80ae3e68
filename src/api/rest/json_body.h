// SPDX-License-Identifier: Apache-2.0
// Bodies and queries of /v1 as clients send them. For .cc files only.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace evercert::api {

// kInvalid, all of them: the message says what the body needs.
Result<nlohmann::json> read_object(const net::HttpRequest& request);
Result<std::string> required_text(const nlohmann::json& object, const char* name);
// kInvalid also when it is longer than `most` bytes.
Result<std::string> short_text(const nlohmann::json& object, const char* name, std::size_t most);
Status only_members(const nlohmann::json& object, std::initializer_list<std::string_view> known);

// The client's own name for a request, under which its repetitions are known
// (draft-ietf-httpapi-idempotency-key-header): empty when it gave none. kInvalid: longer than 255 characters, or others
// than those of ASCII that can be seen.
Result<std::string> idempotency_key(const net::HttpRequest& request);
// The same; without one, the id that an edge gave.
Result<std::string> request_id(const net::HttpRequest& request);

// The first value of that name, as sent; empty when there is no '='.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

// 'limit' of a list: 1 to 1000; `limit` stays as it is when there is none. kInvalid.
Status read_limit(const net::HttpRequest& request, std::size_t& limit);

}  // namespace evercert::api
