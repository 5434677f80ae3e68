// SPDX-License-Identifier: Apache-2.0
// ACME's resources as JSON (RFC 8555 section 7.1), and its problems (section 6.7).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/acme/jws.h"
#include "net/http.h"
#include "store/proto/records.pb.h"

namespace evercert::api {

// A member of what a client sent; empty or false when it is missing or of another type.
std::string text_member(const nlohmann::json& object, const char* name);
bool flag(const nlohmann::json& object, const char* name);

std::string account_document(const store::v1::Account& account, const std::string& base);
std::string order_document(const store::v1::Order& order, const std::string& base);
std::string authorization_document(const store::v1::Authorization& authorization, const std::string& base);
std::string challenge_document(const store::v1::Authorization& authorization, const store::v1::Challenge& challenge,
                               const std::string& base);
std::string problem_document(const AcmeError& error);
// With Retry-After when trying again may help.
net::HttpResponse problem_response(const AcmeError& error);
// An error of ours as a problem: kUnavailable and kUnknownOutcome are serverInternal with 503 and 504.
AcmeError acme_error(const Error& error);

}  // namespace evercert::api
