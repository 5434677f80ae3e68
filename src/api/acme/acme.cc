// SPDX-License-Identifier: Apache-2.0
// Accounts, and what every request has in common. Orders are in acme_orders.cc.
#include "api/acme/acme.h"

#include <nlohmann/json.hpp>

#include "api/acme/documents.h"
#include "base/encoding.h"
#include "store/keys.h"

namespace evercert::api {

using nlohmann::json;

void Acme::post(Router& router, std::string pattern, Handler handler) {
  router.add("POST", std::move(pattern), [this, handler](net::HttpRequest request, std::vector<std::string> parts) {
    return handle(std::move(request), std::move(parts), handler);
  });
}

void Acme::mount(Router& router) {
  router.add("GET", "/acme/directory",
             [this](net::HttpRequest request, auto) -> Task<net::HttpResponse> { co_return directory(request); });
  const auto nonce = [this](net::HttpRequest request, auto) -> Task<net::HttpResponse> {
    net::HttpResponse response;
    response.status = request.method == "HEAD" ? 200 : 204;
    response.headers.set("Cache-Control", "no-store");
    co_return finish(std::move(response), base_of(request));
  };
  router.add("GET", "/acme/new-nonce", nonce);
  router.add("HEAD", "/acme/new-nonce", nonce);
  post(router, "/acme/new-account", &Acme::new_account);
  post(router, "/acme/acct/{id}", &Acme::account);
  post(router, "/acme/key-change", &Acme::key_change);
  post(router, "/acme/new-order", &Acme::new_order);
  post(router, "/acme/order/{id}", &Acme::order);
  post(router, "/acme/order/{id}/finalize", &Acme::finalize);
  post(router, "/acme/authz/{id}", &Acme::authorization);
  post(router, "/acme/chall/{id*}", &Acme::challenge);
  post(router, "/acme/cert/{serial}", &Acme::certificate);
  post(router, "/acme/revoke-cert", &Acme::revoke);
}

// URLs are built from the name by which the client knows us.
std::string Acme::base_of(const net::HttpRequest& request) {
  const auto host = request.headers.find("X-Forwarded-Host");
  const auto scheme = request.headers.find("X-Forwarded-Proto");
  return std::string(scheme.value_or("https")) + "://" + (host ? std::string(*host) : request.headers.get("Host")) +
         "/acme";
}

net::HttpResponse Acme::finish(net::HttpResponse response, const std::string& base) {
  response.headers.set("Replay-Nonce", nonces_.make());
  response.headers.add("Link", "<" + base + "/directory>;rel=\"index\"");
  return response;
}

net::HttpResponse Acme::directory(const net::HttpRequest& request) {
  const std::string base = base_of(request);
  return net::json_response(200, json{{"newNonce", base + "/new-nonce"},
                                      {"newAccount", base + "/new-account"},
                                      {"newOrder", base + "/new-order"},
                                      {"revokeCert", base + "/revoke-cert"},
                                      {"keyChange", base + "/key-change"},
                                      {"meta", {{"externalAccountRequired", false}}}}
                                     .dump());
}

Task<net::HttpResponse> Acme::handle(net::HttpRequest http, std::vector<std::string> parts, Handler handler) {
  Request request{std::move(http), {}, {}, {}};
  request.base = base_of(request.http);
  const std::string part = parts.empty() ? "" : parts.front();
  const Refusal refused = co_await open(request);
  if (refused) co_return finish(problem_response(*refused), request.base);
  auto answered = co_await (this->*handler)(request, part);
  co_return finish(answered ? std::move(*answered) : problem_response(answered.error()), request.base);
}

// RFC 8555 section 6: content type, JWS, nonce, URL, key, signature.
Task<Acme::Refusal> Acme::open(Request& request) {
  if (request.http.headers.get("Content-Type").substr(0, 21) != "application/jose+json") {
    co_return Refusal(AcmeError{415, "malformed", "send application/jose+json"});
  }
  auto jws = parse_jws(request.http.body);
  if (!jws) co_return Refusal(jws.error());
  request.jws = std::move(*jws);
  const std::string url = request.base.substr(0, request.base.size() - 5) + request.http.target;
  if (request.jws.url != url) co_return Refusal(AcmeError{403, "unauthorized", "the JWS is for another URL"});
  const bool key_alone = request.http.path == "/acme/new-account" || request.http.path == "/acme/revoke-cert";
  if (request.jws.jwk) {
    if (!key_alone) co_return Refusal(AcmeError{400, "malformed", "sign with the account's 'kid'"});
    if (!request.jws.jwk->verify_jws(request.jws.algorithm, request.jws.signing_input, request.jws.signature)) {
      co_return Refusal(AcmeError{403, "unauthorized", "the signature of the JWS is wrong"});
    }
  } else {
    // Any host of ours: the account is named by the end of the URL alone.
    const auto slash = request.jws.kid.rfind("/acme/acct/");
    const std::string id = slash == std::string::npos ? "" : request.jws.kid.substr(slash + 11);
    auto account = co_await read_account(request.on(), id);
    if (!account) co_return Refusal(account.error());
    const auto key = parse_jwk(account->jwk());
    if (!key) co_return Refusal(AcmeError{500, "serverInternal", "the account's key cannot be read"});
    if (!key->key.verify_jws(request.jws.algorithm, request.jws.signing_input, request.jws.signature)) {
      co_return Refusal(AcmeError{403, "unauthorized", "the signature of the JWS is wrong"});
    }
    if (account->status() != "valid")
      co_return Refusal(AcmeError{403, "unauthorized", "the account is " + account->status()});
    request.account = std::move(*account);
  }
  // Last, so that a stranger cannot use up nonces of others.
  if (!nonces_.use(request.jws.nonce))
    co_return Refusal(
        AcmeError{400, "badNonce", "the nonce is unknown, used or too old: try again with the fresh one"});
  co_return Refusal{};
}

Task<Acme::Refusal> Acme::fresh(Executor& on, GroupId group, std::string record) {
  if (store_.fresh_now(group, record)) co_return Refusal{};
  const store::Freshness freshness = co_await store_.freshen(on, group, record, options_.timeout);
  if (freshness == store::Freshness::kFresh) co_return Refusal{};
  co_return Refusal(
      AcmeError{503, "serverInternal", "this region is cut off from the others: try again, or elsewhere"});
}

Task<AcmeResult<store::v1::Account>> Acme::read_account(Executor& on, std::string id) {
  const AcmeError unknown{400, "accountDoesNotExist", "there is no such account"};
  const auto group = store::home_of_acme_id(id, options_.regions);
  if (!group) co_return std::unexpected(unknown);
  const Refusal stale = co_await fresh(on, *group, store::account_record(id));
  if (stale) co_return std::unexpected(*stale);
  auto account = store_.account(id);
  if (!account) co_return std::unexpected(acme_error(account.error()));
  if (!*account) co_return std::unexpected(unknown);
  co_return std::move(**account);
}

namespace {

AcmeResult<std::vector<std::string>> read_contacts(const json& payload) {
  std::vector<std::string> contacts;
  if (!payload.contains("contact")) return contacts;
  if (!payload["contact"].is_array() || payload["contact"].size() > 10)
    return std::unexpected(AcmeError{400, "malformed", "'contact' must be a list of at most 10"});
  for (const auto& contact : payload["contact"]) {
    const std::string text = contact.is_string() ? contact.get<std::string>() : "";
    if (!text.starts_with("mailto:"))
      return std::unexpected(AcmeError{400, "unsupportedContact", "contacts are mailto: addresses"});
    if (!pki::check_name({pki::NameKind::kEmail, text.substr(7)}))
      return std::unexpected(AcmeError{400, "invalidContact", "'" + text.substr(0, 100) + "' is not an address"});
    contacts.push_back(text);
  }
  return contacts;
}

}  // namespace

Acme::Answer Acme::new_account(Request& request, const std::string&) {
  if (!request.jws.jwk)
    co_return std::unexpected(AcmeError{400, "malformed", "a new account is signed with its 'jwk'"});
  const json payload = json::parse(request.jws.payload, nullptr, false);
  if (!payload.is_object()) co_return std::unexpected(AcmeError{400, "malformed", "the payload must be an object"});
  // Named by its key, so that the same key in two regions at once is one account.
  const RegionId home = store::home_of_thumbprint(request.jws.thumbprint, options_.regions);
  const std::string id = std::string(1, store::acme_prefix(home)) + to_hex(request.jws.thumbprint).substr(0, 40);
  const std::string location = request.base + "/acct/" + id;
  auto existing = co_await read_account(request.on(), id);
  if (!existing && existing.error().type != "accountDoesNotExist") co_return std::unexpected(existing.error());
  if (existing) {
    if (existing->status() != "valid")
      co_return std::unexpected(AcmeError{403, "unauthorized", "the account is " + existing->status()});
    auto response = net::json_response(200, account_document(*existing));
    response.headers.set("Location", location);
    co_return response;
  }
  if (flag(payload, "onlyReturnExisting")) co_return std::unexpected(existing.error());
  const auto contacts = read_contacts(payload);
  if (!contacts) co_return std::unexpected(contacts.error());
  store::v1::Command command;
  auto* account = command.mutable_put_account()->mutable_account();
  account->set_id(id);
  account->set_thumbprint(request.jws.thumbprint);
  account->set_jwk(request.jws.jwk_text);
  for (const auto& contact : *contacts) account->add_contacts(contact);
  account->set_terms_agreed(flag(payload, "termsOfServiceAgreed"));
  account->set_status("valid");
  account->set_created_at_ms(wall_.now().ms);
  const std::string document = account_document(*account);
  const auto stored = co_await store_.submit(request.on(), home_group(home), std::move(command), options_.timeout);
  // Made at the same time through another region: it is there now.
  if (!stored && stored.error().code != Code::kConflict) co_return std::unexpected(acme_error(stored.error()));
  auto response = net::json_response(stored ? 201 : 200, document);
  response.headers.set("Location", location);
  co_return response;
}

Acme::Answer Acme::account(Request& request, const std::string& id) {
  if (id != request.account.id()) co_return std::unexpected(AcmeError{403, "unauthorized", "this is not your account"});
  if (!request.jws.payload.empty()) {
    const json payload = json::parse(request.jws.payload, nullptr, false);
    if (!payload.is_object()) co_return std::unexpected(AcmeError{400, "malformed", "the payload must be an object"});
    const auto contacts = read_contacts(payload);
    if (!contacts) co_return std::unexpected(contacts.error());
    store::v1::Command command;
    command.mutable_put_account()->set_expected_version(request.account.version());
    auto* account = command.mutable_put_account()->mutable_account();
    *account = request.account;
    if (payload.contains("contact")) {
      account->clear_contacts();
      for (const auto& contact : *contacts) account->add_contacts(contact);
    }
    if (text_member(payload, "status") == "deactivated") account->set_status("deactivated");
    request.account = *account;
    const auto stored = co_await store_.submit(request.on(), *store::home_of_acme_id(id, options_.regions),
                                               std::move(command), options_.timeout);
    if (!stored) co_return std::unexpected(acme_error(stored.error()));
  }
  co_return net::json_response(200, account_document(request.account));
}

// The account's name is made from its first key, so a change of keys cannot keep the rule that one key is one account
// in every region without a second record; it is refused in the terms of RFC 8555.
Acme::Answer Acme::key_change(Request&, const std::string&) {
  co_return std::unexpected(
      AcmeError{403, "unauthorized", "this CA does not change account keys: make an account with the new key"});
}

}  // namespace evercert::api
