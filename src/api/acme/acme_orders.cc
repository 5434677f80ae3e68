// SPDX-License-Identifier: Apache-2.0
// Orders, authorizations, challenges, certificates (RFC 8555 sections 7.4 to 7.6).
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/acme/acme.h"
#include "api/acme/documents.h"
#include "base/encoding.h"
#include "pki/certificate.h"
#include "pki/crl.h"
#include "store/keys.h"

namespace evercert::api {

using nlohmann::json;

namespace {

constexpr std::int64_t kOrderLifeMs = 7ll * 86400 * 1000;

AcmeResult<std::vector<std::string>> read_identifiers(const json& payload) {
  const auto list = payload.is_object() ? payload.find("identifiers") : payload.end();
  if (!payload.is_object() || list == payload.end() || !list->is_array() || list->empty())
    return std::unexpected(AcmeError{400, "malformed", "'identifiers' must be a list with at least one"});
  if (list->size() > pki::kMaxNames)
    return std::unexpected(AcmeError{400, "rejectedIdentifier", "at most 100 identifiers"});
  std::vector<std::string> names;
  for (const auto& entry : *list) {
    const bool sound =
        entry.is_object() && entry.value("type", json()).is_string() && entry.value("value", json()).is_string();
    if (!sound) return std::unexpected(AcmeError{400, "malformed", "an identifier has 'type' and 'value'"});
    if (entry["type"] != "dns")
      return std::unexpected(AcmeError{400, "unsupportedIdentifier", "identifiers of type dns are issued"});
    std::string name = entry["value"].get<std::string>();
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (const Status good = pki::check_dns_name(name, true); !good)
      return std::unexpected(AcmeError{400, "rejectedIdentifier", good.error().message});
    names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

net::HttpResponse located(int status, std::string document, const std::string& location) {
  auto response = net::json_response(status, std::move(document));
  response.headers.set("Location", location);
  return response;
}

}  // namespace

Acme::Answer Acme::new_order(Request& request, const std::string&) {
  const json payload = json::parse(request.jws.payload, nullptr, false);
  const auto names = read_identifiers(payload);
  if (!names) co_return std::unexpected(names.error());
  const auto make_id = [&] { return std::string(1, store::acme_prefix(options_.region)) + to_hex(random_.bytes(12)); };
  const std::int64_t expires = wall_.now().ms + kOrderLifeMs;
  store::v1::Command command;
  auto* order = command.mutable_create_order()->mutable_order();
  order->set_id(make_id());
  order->set_account_id(request.account.id());
  order->set_status("pending");
  order->set_created_at_ms(wall_.now().ms);
  order->set_expires_at_ms(expires);
  order->set_profile(options_.profile);
  for (const auto& name : *names) {
    auto* identifier = order->add_identifiers();
    identifier->set_type("dns");
    identifier->set_value(name);
    auto* authorization = command.mutable_create_order()->add_authorizations();
    authorization->set_id(make_id());
    authorization->set_account_id(request.account.id());
    authorization->set_order_id(order->id());
    authorization->set_wildcard(name.starts_with("*."));
    authorization->mutable_identifier()->set_type("dns");
    authorization->mutable_identifier()->set_value(authorization->wildcard() ? name.substr(2) : name);
    authorization->set_status("pending");
    authorization->set_expires_at_ms(expires);
    for (const char* type : {"http-01", "dns-01"}) {
      if (authorization->wildcard() && std::string_view(type) == "http-01")
        continue;  // RFC 8555 section 7.1.3: dns-01 alone
      auto* challenge = authorization->add_challenges();
      challenge->set_type(type);
      challenge->set_status("pending");
      challenge->set_token(to_base64url(random_.bytes(24)));
    }
    order->add_authorization_ids(authorization->id());
  }
  const std::string document = order_document(*order, request.base);
  const std::string location = request.base + "/order/" + order->id();
  const auto stored =
      co_await store_.submit(request.on(), home_group(options_.region), std::move(command), options_.timeout);
  if (!stored) co_return std::unexpected(acme_error(stored.error()));
  co_return located(201, document, location);
}

Task<AcmeResult<store::v1::Order>> Acme::read_order(Request& request, std::string id) {
  const AcmeError unknown{404, "malformed", "there is no such order"};
  const auto group = store::home_of_acme_id(id, options_.regions);
  if (!group) co_return std::unexpected(unknown);
  const Refusal stale = co_await fresh(request.on(), *group, store::order_record(id));
  if (stale) co_return std::unexpected(*stale);
  auto order = store_.order(id);
  if (!order) co_return std::unexpected(acme_error(order.error()));
  if (!*order) co_return std::unexpected(unknown);
  if ((*order)->account_id() != request.account.id())
    co_return std::unexpected(AcmeError{403, "unauthorized", "this is not your order"});
  if ((*order)->expires_at_ms() < wall_.now().ms && (*order)->status() != "valid") (*order)->set_status("invalid");
  co_return std::move(**order);
}

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
  if ((*authorization)->expires_at_ms() < wall_.now().ms && (*authorization)->status() == "pending")
    (*authorization)->set_status("expired");
  co_return std::move(**authorization);
}

Acme::Answer Acme::order(Request& request, const std::string& id) {
  const auto order = co_await read_order(request, id);
  if (!order) co_return std::unexpected(order.error());
  co_return located(200, order_document(*order, request.base), request.base + "/order/" + id);
}

Acme::Answer Acme::authorization(Request& request, const std::string& id) {
  auto authorization = co_await read_authorization(request, id);
  if (!authorization) co_return std::unexpected(authorization.error());
  if (!request.jws.payload.empty()) {
    const json payload = json::parse(request.jws.payload, nullptr, false);
    if (!payload.is_object() || text_member(payload, "status") != "deactivated")
      co_return std::unexpected(AcmeError{400, "malformed", "an authorization can be deactivated, nothing else"});
    store::v1::Command command;
    command.mutable_update_authorization()->set_expected_version(authorization->version());
    authorization->set_status("deactivated");
    *command.mutable_update_authorization()->mutable_authorization() = *authorization;
    const auto stored = co_await store_.submit(request.on(), *store::home_of_acme_id(id, options_.regions),
                                               std::move(command), options_.timeout);
    if (!stored) co_return std::unexpected(acme_error(stored.error()));
  }
  co_return net::json_response(200, authorization_document(*authorization, request.base));
}

// Validates within the request: clients that are told "pending" come back seconds later.
Acme::Answer Acme::challenge(Request& request, const std::string& id_and_type) {
  const auto slash = id_and_type.find('/');
  const std::string id = id_and_type.substr(0, slash);
  const std::string type = slash == std::string::npos ? "" : id_and_type.substr(slash + 1);
  auto authorization = co_await read_authorization(request, id);
  if (!authorization) co_return std::unexpected(authorization.error());
  store::v1::Challenge* challenge = nullptr;
  for (auto& one : *authorization->mutable_challenges()) {
    if (one.type() == type) challenge = &one;
  }
  if (challenge == nullptr) co_return std::unexpected(AcmeError{404, "malformed", "there is no such challenge"});
  const std::string up = "<" + request.base + "/authz/" + id + ">;rel=\"up\"";
  if (authorization->status() == "pending" && !request.jws.payload.empty()) {
    const std::string key_authorization = challenge->token() + "." + to_base64url(request.account.thumbprint());
    std::optional<AcmeError> failure;
    for (int attempt = 0; attempt < 3; ++attempt) {
      failure = co_await validator_.validate(request.on(), authorization->identifier().value(),
                                             authorization->wildcard(), type, challenge->token(), key_authorization);
      // Only what may pass by itself is worth another look: a server that is just starting, a slow name server.
      if (!failure || (failure->type != "connection" && failure->type != "dns")) break;
    }
    store::v1::Command command;
    command.mutable_update_authorization()->set_expected_version(authorization->version());
    challenge->set_status(failure ? "invalid" : "valid");
    authorization->set_status(failure ? "invalid" : "valid");
    if (failure) {
      challenge->set_problem(problem_document(*failure));
    } else {
      challenge->set_validated_at_ms(wall_.now().ms);
    }
    *command.mutable_update_authorization()->mutable_authorization() = *authorization;
    const auto stored = co_await store_.submit(request.on(), *store::home_of_acme_id(id, options_.regions),
                                               std::move(command), options_.timeout);
    if (!stored && stored.error().code != Code::kConflict) co_return std::unexpected(acme_error(stored.error()));
  }
  auto response = net::json_response(200, challenge_document(*authorization, *challenge, request.base));
  response.headers.add("Link", up);
  co_return response;
}

Acme::Answer Acme::finalize(Request& request, const std::string& id) {
  auto order = co_await read_order(request, id);
  if (!order) co_return std::unexpected(order.error());
  const std::string location = request.base + "/order/" + id;
  if (order->status() == "valid") co_return located(200, order_document(*order, request.base), location);
  if (order->status() != "ready")
    co_return std::unexpected(AcmeError{403, "orderNotReady", "the order is " + order->status()});
  const json payload = json::parse(request.jws.payload, nullptr, false);
  const auto der = payload.is_object() && payload.value("csr", json()).is_string()
                       ? from_base64url(payload["csr"].get<std::string>())
                       : Result<std::string>(fail(Code::kInvalid, ""));
  if (!der) co_return std::unexpected(AcmeError{400, "badCSR", "'csr' must be a base64url text"});
  auto csr = pki::parse_csr(*der);
  if (!csr)
    co_return std::unexpected(
        AcmeError{400, csr.error().code == Code::kUnsupported ? "badPublicKey" : "badCSR", csr.error().message});
  std::vector<std::string> asked, ordered;
  for (const auto& name : csr->names) asked.push_back(name.kind == pki::NameKind::kDns ? name.value : "?" + name.value);
  for (const auto& identifier : order->identifiers()) ordered.push_back(identifier.value());
  std::sort(asked.begin(), asked.end());
  std::sort(ordered.begin(), ordered.end());
  if (asked != ordered) co_return std::unexpected(AcmeError{400, "badCSR", "the CSR's names are not the order's"});
  if (csr->key.spki_der() == parse_jwk(request.account.jwk())->key.spki_der())
    co_return std::unexpected(AcmeError{400, "badCSR", "the certificate's key must not be the account's"});
  const GroupId home = *store::home_of_acme_id(id, options_.regions);
  // A repeated finalize is told by the order, which names its certificate.
  ca::IssueRequest wanted{
      std::move(*csr), order->profile(), {}, RegionId{static_cast<std::uint8_t>(home.value)}, request.account.id(), id,
      sha256(*der)};
  wanted.names = wanted.csr.names;
  const auto issued = co_await ca_.issue(request.on(), std::move(wanted));
  if (!issued) {
    AcmeError error = acme_error(issued.error());
    if (issued.error().code == Code::kInvalid) error.type = "badCSR";
    co_return std::unexpected(error);
  }
  order->set_status("valid");
  order->set_certificate_serial(issued->serial);
  co_return located(200, order_document(*order, request.base), location);
}

Acme::Answer Acme::certificate(Request& request, const std::string& hex) {
  const auto serial = from_hex(hex);
  const auto found = co_await ca_.find(request.on(), serial.value_or(""));
  if (!found) co_return std::unexpected(acme_error(found.error()));
  if (!found->certificate) co_return std::unexpected(AcmeError{404, "malformed", "there is no such certificate"});
  if (found->certificate->account_id() != request.account.id())
    co_return std::unexpected(AcmeError{403, "unauthorized", "this is not your certificate"});
  net::HttpResponse response;
  response.headers.set("Content-Type", "application/pem-certificate-chain");
  response.body = ca_.chain_of(*found->certificate);
  co_return response;
}

Acme::Answer Acme::revoke(Request& request, const std::string&) {
  const json payload = json::parse(request.jws.payload, nullptr, false);
  const auto der = payload.is_object() && payload.value("certificate", json()).is_string()
                       ? from_base64url(payload["certificate"].get<std::string>())
                       : Result<std::string>(fail(Code::kInvalid, ""));
  const auto facts = der ? pki::read_certificate(*der) : Result<pki::CertificateFacts>(fail(Code::kInvalid, ""));
  if (!facts)
    co_return std::unexpected(AcmeError{400, "malformed", "'certificate' must be a certificate in base64url"});
  const int reason =
      payload.contains("reason") && payload["reason"].is_number_integer() ? payload["reason"].get<int>() : 0;
  if (!pki::reason_accepted(reason))
    co_return std::unexpected(AcmeError{400, "badRevocationReason", "use 0, 1, 3, 4, 5 or 9"});
  const auto found = co_await ca_.find(request.on(), facts->serial);
  if (!found) co_return std::unexpected(acme_error(found.error()));
  if (!found->certificate || found->certificate->der() != *der)
    co_return std::unexpected(AcmeError{404, "malformed", "this CA did not issue that certificate"});
  const bool by_owner = !request.account.id().empty() && found->certificate->account_id() == request.account.id();
  const bool by_key = request.jws.jwk && request.jws.jwk->spki_der() == facts->spki_der;
  if (!by_owner && !by_key)
    co_return std::unexpected(
        AcmeError{403, "unauthorized", "neither the certificate's account nor its key signed this"});
  const std::string actor = by_owner ? "account " + request.account.id() : std::string("certificate key");
  const auto revoked = co_await ca_.revoke(request.on(), facts->serial, reason, actor, {});
  if (!revoked) {
    if (revoked.error().code == Code::kConflict)
      co_return std::unexpected(AcmeError{400, "alreadyRevoked", "the certificate is already revoked"});
    co_return std::unexpected(acme_error(revoked.error()));
  }
  co_return net::HttpResponse{};
}

}  // namespace evercert::api
