// SPDX-License-Identifier: Apache-2.0
// What the key space's records and requests look like by REST. For .cc files only.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "api/coordination/trouble.h"
#include "net/http.h"

namespace evercert::api {

net::HttpResponse problem_of(const Trouble& trouble);
// Bytes that are text stand as they are, others in base64 under `name`_base64.
void put_bytes(nlohmann::json& object, const std::string& name, const std::string& bytes);
// Both forms are taken; empty when neither is there. kInvalid.
Result<std::string> read_bytes(const nlohmann::json& object, const std::string& name);
nlohmann::json describe(const mvccpb::KeyValue& kv);
nlohmann::json describe(const mvccpb::Event& event);

// Leases have hexadecimal names. kInvalid.
std::string lease_name(std::int64_t id);
Result<std::int64_t> lease_id(std::string_view name);

// A path's part as bytes (RFC 3986 section 2.1). kInvalid.
Result<std::string> decode_path(std::string_view part);
// A whole number from `least` to `most`; `otherwise` when it is not there. kInvalid.
Result<std::int64_t> query_number(const net::HttpRequest& request, const char* name, std::int64_t otherwise,
                                  std::int64_t least, std::int64_t most);
Result<std::int64_t> member_number(const nlohmann::json& object, const char* name, std::int64_t otherwise,
                                   std::int64_t least, std::int64_t most);
bool query_flag(const net::HttpRequest& request, const char* name);

}  // namespace evercert::api
