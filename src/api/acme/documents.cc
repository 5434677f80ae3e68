// SPDX-License-Identifier: Apache-2.0
#include "api/acme/documents.h"

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/rfc3339.h"

namespace evercert::api {
namespace {

using nlohmann::json;

const std::string kErrorPrefix = "urn:ietf:params:acme:error:";

json challenge_json(const store::v1::Authorization& authorization, const store::v1::Challenge& challenge,
                    const std::string& base) {
  json out{{"type", challenge.type()},
           {"status", challenge.status()},
           {"token", challenge.token()},
           {"url", base + "/chall/" + authorization.id() + "/" + challenge.type()}};
  if (challenge.validated_at_ms() != 0) out["validated"] = rfc3339(challenge.validated_at_ms());
  if (!challenge.problem().empty()) out["error"] = json::parse(challenge.problem(), nullptr, false);
  return out;
}

}  // namespace

std::string text_member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

bool flag(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::string account_document(const store::v1::Account& account, const std::string& base) {
  return json{{"status", account.status()},
              {"orders", base + "/acct/" + account.id() + "/orders"},
              {"contact", std::vector<std::string>(account.contacts().begin(), account.contacts().end())},
              {"termsOfServiceAgreed", account.terms_agreed()}}
      .dump();
}

std::string order_document(const store::v1::Order& order, const std::string& base) {
  json out{{"status", order.status()},
           {"expires", rfc3339(order.expires_at_ms())},
           {"identifiers", json::array()},
           {"authorizations", json::array()},
           {"finalize", base + "/order/" + order.id() + "/finalize"}};
  for (const auto& id : order.identifiers()) out["identifiers"].push_back({{"type", id.type()}, {"value", id.value()}});
  for (const auto& id : order.authorization_ids()) out["authorizations"].push_back(base + "/authz/" + id);
  if (!order.replaces().empty()) out["replaces"] = order.replaces();
  if (order.status() == "valid") out["certificate"] = base + "/cert/" + to_hex(order.certificate_serial());
  if (!order.problem().empty()) out["error"] = json::parse(order.problem(), nullptr, false);
  return out.dump();
}

std::string authorization_document(const store::v1::Authorization& authorization, const std::string& base) {
  json out{{"status", authorization.status()},
           {"expires", rfc3339(authorization.expires_at_ms())},
           {"identifier", {{"type", authorization.identifier().type()}, {"value", authorization.identifier().value()}}},
           {"challenges", json::array()}};
  if (authorization.wildcard()) out["wildcard"] = true;
  for (const auto& challenge : authorization.challenges())
    out["challenges"].push_back(challenge_json(authorization, challenge, base));
  return out.dump();
}

std::string challenge_document(const store::v1::Authorization& authorization, const store::v1::Challenge& challenge,
                               const std::string& base) {
  return challenge_json(authorization, challenge, base).dump();
}

std::string problem_document(const AcmeError& error) {
  json out{{"type", kErrorPrefix + error.type}, {"detail", error.detail}, {"status", error.status}};
  if (error.type == "badSignatureAlgorithm") out["algorithms"] = jws_algorithms();
  if (!error.terms.empty()) out["instance"] = error.terms;
  for (const auto& part : error.parts) {
    out["subproblems"].push_back({{"type", kErrorPrefix + part.type},
                                  {"detail", part.detail},
                                  {"identifier", {{"type", part.identifier_type}, {"value", part.identifier_value}}}});
  }
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

net::HttpResponse problem_response(const AcmeError& error) {
  net::HttpResponse response;
  response.status = error.status;
  response.headers.set("Content-Type", "application/problem+json");
  if (error.status == 503 || error.status == 504) response.headers.set("Retry-After", "1");
  if (!error.location.empty()) response.headers.set("Location", error.location);
  if (!error.terms.empty()) response.headers.add("Link", "<" + error.terms + ">;rel=\"terms-of-service\"");
  response.body = problem_document(error);
  return response;
}

AcmeError acme_error(const Error& error) {
  switch (error.code) {
    case Code::kInvalid: return {400, "malformed", error.message};
    case Code::kNotFound: return {404, "malformed", error.message};
    case Code::kConflict: return {403, "orderNotReady", error.message};
    case Code::kUnavailable:
    case Code::kExpired: return {503, "serverInternal", error.message};
    case Code::kUnknownOutcome: return {504, "serverInternal", error.message};
    default: return {500, "serverInternal", error.message};
  }
}

}  // namespace evercert::api
