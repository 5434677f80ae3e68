// SPDX-License-Identifier: Apache-2.0
// Authorizations and their challenges (RFC 8555 section 7.5).
#include <nlohmann/json.hpp>

#include "api/acme/acme.h"
#include "api/acme/documents.h"
#include "base/encoding.h"
#include "store/keys.h"

namespace evercert::api {

using nlohmann::json;

namespace {

constexpr int kAttempts = 3;  // of a validation that may pass in a moment

// Section 7.5.1: when to look again at what is not decided.
void add_retry(net::HttpResponse& response, const store::v1::Authorization& authorization) {
  if (authorization.status() == "pending") response.headers.set("Retry-After", "1");
}

store::v1::Challenge* challenge_of(store::v1::Authorization& authorization, const std::string& type) {
  for (auto& challenge : *authorization.mutable_challenges()) {
    if (challenge.type() == type) return &challenge;
  }
  return nullptr;
}

}  // namespace

Task<AcmeResult<store::v1::Authorization>> Acme::read_authorization(Request& request, std::string id) {
  const AcmeError unknown{404, "malformed", "there is no such authorization"};
  const auto group = store::home_of_acme_id(id, options_.regions);
  if (!group) co_return std::unexpected(unknown);
  const Refusal stale = co_await fresh(request.on(), *group, store::authorization_record(id));
  if (stale) co_return std::unexpected(*stale);
  auto authorization = store_.authorization(id);
  if (!authorization) co_return std::unexpected(acme_error(authorization.error()));
  if (!*authorization) co_return std::unexpected(unknown);
  if ((*authorization)->account_id() != request.account.id())
    co_return std::unexpected(AcmeError{403, "unauthorized", "this is not your authorization"});
  const bool open = (*authorization)->status() == "pending" || (*authorization)->status() == "valid";
  if (open && (*authorization)->expires_at_ms() <= wall_.now().ms) (*authorization)->set_status("expired");
  co_return std::move(**authorization);
}

// What is stored afterwards: `next`, or what somebody else made of it first.
Task<AcmeResult<store::v1::Authorization>> Acme::store_authorization(Request& request, store::v1::Authorization next) {
  store::v1::Command command;
  command.mutable_update_authorization()->set_expected_version(next.version());
  *command.mutable_update_authorization()->mutable_authorization() = next;
  const auto stored = co_await store_.submit(request.on(), home_of(next.id()), std::move(command), options_.timeout);
  if (stored) co_return next;
  if (stored.error().code != Code::kConflict) co_return std::unexpected(acme_error(stored.error()));
  co_return co_await read_authorization(request, next.id());
}

Acme::Answer Acme::authorization(Request& request, const std::string& id) {
  auto authorization = co_await read_authorization(request, id);
  if (!authorization) co_return std::unexpected(authorization.error());
  const auto payload = payload_of(request);
  if (!payload) co_return std::unexpected(payload.error());
  if (*payload) {
    if (text_member(**payload, "status") != "deactivated")
      co_return std::unexpected(AcmeError{400, "malformed", "an authorization can be deactivated, nothing else"});
    // Once more when a validation came to its end meanwhile.
    for (int turn = 0; turn < 2 && authorization->status() != "deactivated"; ++turn) {
      if (authorization->status() != "pending" && authorization->status() != "valid")
        co_return std::unexpected(AcmeError{400, "malformed", "the authorization is " + authorization->status()});
      authorization->set_status("deactivated");
      authorization = co_await store_authorization(request, std::move(*authorization));
      if (!authorization) co_return std::unexpected(authorization.error());
    }
  }
  auto response = net::json_response(200, authorization_document(*authorization, request.base));
  add_retry(response, *authorization);
  co_return response;
}

// Validates within the request: clients that are told "pending" come back seconds later.
Acme::Answer Acme::challenge(Request& request, const std::string& id_and_type) {
  const auto slash = id_and_type.find('/');
  const std::string id = id_and_type.substr(0, slash);
  const std::string type = slash == std::string::npos ? "" : id_and_type.substr(slash + 1);
  const auto payload = payload_of(request);
  if (!payload) co_return std::unexpected(payload.error());
  auto authorization = co_await read_authorization(request, id);
  if (!authorization) co_return std::unexpected(authorization.error());
  store::v1::Challenge* challenge = challenge_of(*authorization, type);
  if (challenge == nullptr) co_return std::unexpected(AcmeError{404, "malformed", "there is no such challenge"});
  if (authorization->status() == "pending" && *payload) {
    const ValidationRequest proof{authorization->identifier().type(),
                                  authorization->identifier().value(),
                                  authorization->wildcard(),
                                  type,
                                  challenge->token(),
                                  challenge->token() + "." + to_base64url(request.account.thumbprint()),
                                  request.account.id()};
    std::optional<AcmeError> failure;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      failure = co_await validator_.validate(request.on(), proof);
      // Only what may pass by itself is worth another look: a server that is just starting, a slow name server.
      if (!failure || (failure->type != "connection" && failure->type != "dns")) break;
    }
    challenge->set_status(failure ? "invalid" : "valid");
    authorization->set_status(challenge->status());
    if (failure) {
      challenge->set_problem(problem_document(*failure));
    } else {
      challenge->set_validated_at_ms(wall_.now().ms);
    }
    authorization = co_await store_authorization(request, std::move(*authorization));
    if (!authorization) co_return std::unexpected(authorization.error());
    challenge = challenge_of(*authorization, type);
  }
  auto response = net::json_response(200, challenge_document(*authorization, *challenge, request.base));
  response.headers.add("Link", "<" + request.base + "/authz/" + id + ">;rel=\"up\"");
  add_retry(response, *authorization);
  co_return response;
}

}  // namespace evercert::api
