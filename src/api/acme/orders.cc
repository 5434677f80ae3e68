// SPDX-License-Identifier: Apache-2.0
// Orders (RFC 8555 section 7.4).
#include <nlohmann/json.hpp>

#include "api/acme/acme.h"
#include "api/acme/documents.h"
#include "api/acme/identifiers.h"
#include "base/encoding.h"
#include "store/keys.h"

namespace evercert::api {

using nlohmann::json;

namespace {

constexpr std::int64_t kOrderLifeMs = 7ll * 86400 * 1000;
constexpr std::int64_t kCaaKeptMs = 7ll * 3600 * 1000;

net::HttpResponse located(int status, const store::v1::Order& order, const std::string& base) {
  auto response = net::json_response(status, order_document(order, base));
  response.headers.set("Location", base + "/order/" + order.id());
  return response;
}

// RFC 8555 section 7.1.3: a wildcard is proved in DNS alone; RFC 8738 section 7: an address is not.
bool offered(std::string_view type, const store::v1::Authorization& authorization) {
  return type == "dns-01" ? authorization.identifier().type() != "ip" : !authorization.wildcard();
}

}  // namespace

// The order with all its authorizations and challenges is one entry of its home group.
Acme::Answer Acme::new_order(Request& request, const std::string&) {
  if (!agreed(request.account))
    co_return std::unexpected(
        terms_to_agree("the terms of service have changed: read them and agree by newAccount, with the account's key"));
  const auto payload = payload_of(request);
  if (!payload) co_return std::unexpected(payload.error());
  const json asked = payload->value_or(json::object());
  const auto identifiers = read_identifiers(asked);
  if (!identifiers) co_return std::unexpected(identifiers.error());
  if (asked.contains("notBefore") || asked.contains("notAfter"))
    co_return std::unexpected(AcmeError{400, "malformed", "leave out notBefore and notAfter: the CA sets the dates"});
  const auto make_id = [&] { return std::string(1, store::acme_prefix(options_.region)) + to_hex(random_.bytes(12)); };
  const std::int64_t now_ms = wall_.now().ms;
  store::v1::Command command;
  auto* order = command.mutable_create_order()->mutable_order();
  order->set_id(make_id());
  order->set_account_id(request.account.id());
  order->set_status("pending");
  order->set_created_at_ms(now_ms);
  order->set_expires_at_ms(now_ms + kOrderLifeMs);
  order->set_profile(options_.profile);
  for (const auto& identifier : *identifiers) {
    *order->add_identifiers() = identifier;
    auto* authorization = command.mutable_create_order()->add_authorizations();
    authorization->set_id(make_id());
    authorization->set_account_id(request.account.id());
    authorization->set_order_id(order->id());
    authorization->set_wildcard(identifier.value().starts_with("*."));
    authorization->mutable_identifier()->set_type(identifier.type());
    authorization->mutable_identifier()->set_value(identifier.value().substr(authorization->wildcard() ? 2 : 0));
    authorization->set_status("pending");
    authorization->set_expires_at_ms(order->expires_at_ms());
    for (const char* type : {"http-01", "dns-01", "tls-alpn-01"}) {
      if (!offered(type, *authorization)) continue;
      auto* challenge = authorization->add_challenges();
      challenge->set_type(type);
      challenge->set_status("pending");
      challenge->set_token(to_base64url(random_.bytes(24)));
    }
    order->add_authorization_ids(authorization->id());
  }
  const auto replaces = co_await replaced(request, asked, *order);
  if (!replaces) co_return std::unexpected(replaces.error());
  order->set_replaces(replaces->id);
  auto response = located(201, *order, request.base);
  // For the edge, which has taken it at its word.
  if (!replaces->id.empty()) response.headers.set("Evercert-Renewal", replaces->due ? "yes" : "no");
  const auto stored =
      co_await store_.submit(request.on(), home_group(options_.region), std::move(command), options_.timeout);
  if (!stored) co_return std::unexpected(acme_error(stored.error()));
  co_return response;
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
  if ((*order)->expires_at_ms() <= wall_.now().ms && (*order)->status() != "valid") (*order)->set_status("invalid");
  co_return std::move(**order);
}

Acme::Answer Acme::order(Request& request, const std::string& id) {
  if (const Refusal refused = only_reads(request)) co_return std::unexpected(*refused);
  const auto order = co_await read_order(request, id);
  if (!order) co_return std::unexpected(order.error());
  co_return located(200, *order, request.base);
}

// CAA records are looked at once more when what was seen of them is old (RFC 8659 section 3 leaves it to the CA; CAs
// that browsers trust may use an answer for 8 hours).
Task<Acme::Refusal> Acme::forbidden_by_now(Request& request, const store::v1::Order& order) {
  for (const auto& id : order.authorization_ids()) {
    const auto read = store_.authorization(id);
    if (!read) co_return Refusal(acme_error(read.error()));
    if (!*read) co_return Refusal(AcmeError{403, "orderNotReady", "an authorization of the order is gone"});
    for (const auto& challenge : (*read)->challenges()) {
      if (challenge.status() != "valid" || challenge.validated_at_ms() + kCaaKeptMs > wall_.now().ms) continue;
      ValidationRequest proof;
      proof.identifier_type = (*read)->identifier().type();
      proof.identifier = (*read)->identifier().value();
      proof.wildcard = (*read)->wildcard();
      proof.type = challenge.type();
      proof.account_id = request.account.id();
      auto refused = co_await validator_.still_allowed(request.on(), std::move(proof));
      if (refused) co_return refused;
    }
  }
  co_return Refusal{};
}

// The group stores certificate and order in one entry and finishes an order once: whoever comes second, through
// whatever region, is answered with the first one's certificate.
Acme::Answer Acme::finalize(Request& request, const std::string& id) {
  auto order = co_await read_order(request, id);
  if (!order) co_return std::unexpected(order.error());
  if (order->status() == "valid") co_return located(200, *order, request.base);
  if (order->status() != "ready")
    co_return std::unexpected(AcmeError{403, "orderNotReady", "the order is " + order->status()});
  const auto payload = payload_of(request);
  if (!payload) co_return std::unexpected(payload.error());
  const auto der = from_base64url(text_member(payload->value_or(json::object()), "csr"));
  if (!der || der->empty()) co_return std::unexpected(AcmeError{400, "badCSR", "'csr' must be a base64url text"});
  auto csr = pki::parse_csr(*der);
  if (!csr) {
    const bool key = csr.error().code == Code::kUnsupported;
    co_return std::unexpected(AcmeError{400, key ? "badPublicKey" : "badCSR", csr.error().message});
  }
  if (!same_names(*order, csr->names))
    co_return std::unexpected(AcmeError{400, "badCSR", "the CSR's names are not the order's"});
  if (csr->key.spki_der() == request.key->spki_der())
    co_return std::unexpected(AcmeError{400, "badCSR", "the certificate's key must not be the account's"});
  if (const Refusal refused = co_await forbidden_by_now(request, *order)) co_return std::unexpected(*refused);
  // A repeated finalize is told by the order, which names its certificate.
  ca::IssueRequest wanted{std::move(*csr),
                          order->profile(),
                          {},
                          RegionId{static_cast<std::uint8_t>(home_of(id).value)},
                          request.account.id(),
                          id,
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
  co_return located(200, *order, request.base);
}

}  // namespace evercert::api
