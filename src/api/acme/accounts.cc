// SPDX-License-Identifier: Apache-2.0
// Accounts (RFC 8555 section 7.3). One key is one account in every region: an account's id is made from its first key,
// and a key that it takes later is bound to it in the home group of that key's thumbprint before the account changes.
// Both kinds of binding of a key are decided by one group, so two regions cannot bind it at once; neither is ever
// undone, so a key that was given up leads to no second account.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/acme/acme.h"
#include "api/acme/documents.h"
#include "base/encoding.h"
#include "store/keys.h"

namespace evercert::api {

using nlohmann::json;

namespace {

constexpr int kTurns = 4;  // of reading and changing an account that others change too

AcmeResult<std::vector<std::string>> read_contacts(const json& payload) {
  std::vector<std::string> contacts;
  const auto list = payload.find("contact");
  if (list == payload.end()) return contacts;
  if (!list->is_array() || list->size() > 10)
    return std::unexpected(AcmeError{400, "malformed", "'contact' must be a list of at most 10"});
  for (const auto& contact : *list) {
    const std::string text = contact.is_string() ? contact.get<std::string>() : "";
    if (!text.starts_with("mailto:"))
      return std::unexpected(AcmeError{400, "unsupportedContact", "contacts are mailto: addresses"});
    // RFC 8555 section 7.3: one address without header fields.
    const std::string address = text.substr(7);
    if (address.find_first_of(",?") != std::string::npos || !pki::check_name({pki::NameKind::kEmail, address}))
      return std::unexpected(AcmeError{400, "invalidContact", "'" + text.substr(0, 100) + "' is not one address"});
    contacts.push_back(text);
  }
  return contacts;
}

net::HttpResponse located(int status, const store::v1::Account& account, const std::string& base) {
  auto response = net::json_response(status, account_document(account, base));
  response.headers.set("Location", base + "/acct/" + account.id());
  return response;
}

// The inner JWS of a key change (RFC 8555 section 7.3.5).
AcmeResult<Jws> read_key_change(const Jws& outer, const store::v1::Account& account) {
  auto inner = parse_jws(outer.payload);
  if (!inner) return inner;
  const auto malformed = [](const char* detail) { return std::unexpected(AcmeError{400, "malformed", detail}); };
  if (!inner->jwk) return malformed("the inner JWS is signed with the new key as 'jwk'");
  if (!inner->jwk->verify_jws(inner->algorithm, inner->signing_input, inner->signature))
    return std::unexpected(AcmeError{403, "unauthorized", "the signature of the inner JWS is wrong"});
  if (!inner->nonce.empty()) return malformed("the inner JWS has no nonce");
  if (inner->url != outer.url) return malformed("the inner and the outer JWS must be for the same URL");
  const json change = json::parse(inner->payload, nullptr, false);
  if (!change.is_object()) return malformed("the inner payload must be an object");
  if (text_member(change, "account") != outer.kid) return malformed("'account' must be the account that signs");
  const auto old_key = parse_jwk(change.value("oldKey", json()).dump());
  if (!old_key || old_key->thumbprint != account.thumbprint())
    return malformed("'oldKey' must be the account's present key");
  return inner;
}

}  // namespace

bool Acme::agreed(const store::v1::Account& account) const {
  return options_.terms.url.empty() || (account.terms_agreed() && account.terms_version() == options_.terms.version);
}

AcmeError Acme::terms_to_agree(std::string detail) const {
  AcmeError error{403, "userActionRequired", std::move(detail)};
  error.terms = options_.terms.url;
  return error;
}

void Acme::record_agreement(store::v1::Account& account) const {
  account.set_terms_agreed(true);
  account.set_terms_version(options_.terms.version);
  account.set_terms_agreed_at_ms(wall_.now().ms);
}

// nullopt: the key is free. Otherwise the account that it belongs to, which may have another key by now.
Task<AcmeResult<std::optional<store::v1::Account>>> Acme::account_with_key(Executor& on, std::string thumbprint) {
  auto first = co_await read_account(on, store::account_id_of_thumbprint(thumbprint, founding()));
  if (first) co_return std::optional(std::move(*first));
  if (first.error().type != "accountDoesNotExist") co_return std::unexpected(first.error());
  const GroupId home = home_group(store::home_of_thumbprint(thumbprint, founding()));
  const Refusal stale = co_await fresh(on, home, store::account_key_record(thumbprint));
  if (stale) co_return std::unexpected(*stale);
  const auto bound = store_.account_of_key(thumbprint);
  if (!bound) co_return std::unexpected(acme_error(bound.error()));
  if (!*bound) co_return std::optional<store::v1::Account>{};
  auto account = co_await read_account(on, **bound);
  if (!account) co_return std::unexpected(account.error());
  co_return std::optional(std::move(*account));
}

Acme::Answer Acme::new_account(Request& request, const std::string&) {
  if (!request.jws.jwk)
    co_return std::unexpected(AcmeError{400, "malformed", "a new account is signed with its 'jwk'"});
  const auto payload = payload_of(request);
  if (!payload) co_return std::unexpected(payload.error());
  const json asked = payload->value_or(json::object());
  for (int turn = 0; turn < kTurns; ++turn) {
    auto existing = co_await account_with_key(request.on(), request.jws.thumbprint);
    if (!existing) co_return std::unexpected(existing.error());
    if (*existing) {
      const auto& account = **existing;
      if (account.thumbprint() != request.jws.thumbprint)
        co_return std::unexpected(AcmeError{403, "unauthorized", "the account of this key has changed to another key"});
      if (account.status() != "valid")
        co_return std::unexpected(AcmeError{403, "unauthorized", "the account is " + account.status()});
      if (agreed(account) || !flag(asked, "termsOfServiceAgreed")) co_return located(200, account, request.base);
      // Who has an account agrees to other terms by asking for it again.
      request.account = account;
      const AccountChange agree = [this](store::v1::Account& next) { record_agreement(next); };
      auto changed = co_await change_account(request, agree);
      if (!changed) co_return std::unexpected(changed.error());
      co_return located(200, *changed, request.base);
    }
    if (flag(asked, "onlyReturnExisting"))
      co_return std::unexpected(AcmeError{400, "accountDoesNotExist", "there is no account with this key"});
    const auto contacts = read_contacts(asked);
    if (!contacts) co_return std::unexpected(contacts.error());
    const bool agrees = flag(asked, "termsOfServiceAgreed");
    if (!agrees && !options_.terms.url.empty())
      co_return std::unexpected(terms_to_agree("an account needs agreement to the terms of service"));
    store::v1::Command command;
    auto* account = command.mutable_put_account()->mutable_account();
    account->set_id(store::account_id_of_thumbprint(request.jws.thumbprint, founding()));
    account->set_thumbprint(request.jws.thumbprint);
    account->set_jwk(request.jws.jwk_text);
    for (const auto& contact : *contacts) account->add_contacts(contact);
    if (agrees) record_agreement(*account);
    account->set_status("valid");
    account->set_created_at_ms(wall_.now().ms);
    const store::v1::Account made = *account;
    const auto stored = co_await store_.submit(request.on(), home_of(made.id()), std::move(command), options_.timeout);
    if (stored) co_return located(stored->repeated_request() ? 200 : 201, made, request.base);
    // Bound at the same time through another region: it is there now.
    if (stored.error().code != Code::kConflict) co_return std::unexpected(acme_error(stored.error()));
  }
  co_return std::unexpected(AcmeError{503, "serverInternal", "the account changes all the time: try again"});
}

// The account as it is stored with `change` made to it, once more when others change it at the same time. A change
// that is none is not written.
Task<AcmeResult<store::v1::Account>> Acme::change_account(Request& request, const AccountChange& change) {
  for (int turn = 0; turn < kTurns; ++turn) {
    store::v1::Account next = request.account;
    change(next);
    if (next.SerializeAsString() == request.account.SerializeAsString()) co_return next;
    store::v1::Command command;
    command.mutable_put_account()->set_expected_version(next.version());
    *command.mutable_put_account()->mutable_account() = next;
    const auto stored = co_await store_.submit(request.on(), home_of(next.id()), std::move(command), options_.timeout);
    if (stored) co_return next;
    if (stored.error().code != Code::kConflict) co_return std::unexpected(acme_error(stored.error()));
    auto again = co_await read_account(request.on(), next.id());
    if (!again) co_return std::unexpected(again.error());
    // Only the key that signed the request may change the account.
    if (again->thumbprint() != request.account.thumbprint() || again->status() != "valid")
      co_return std::unexpected(AcmeError{403, "unauthorized", "the account was changed meanwhile"});
    request.account = std::move(*again);
  }
  co_return std::unexpected(AcmeError{503, "serverInternal", "the account changes all the time: try again"});
}

// Sections 7.3.2 and 7.3.6: contacts and deactivation; other members are ignored.
Acme::Answer Acme::account(Request& request, const std::string& id) {
  if (id != request.account.id()) co_return std::unexpected(AcmeError{403, "unauthorized", "this is not your account"});
  const auto payload = payload_of(request);
  if (!payload) co_return std::unexpected(payload.error());
  if (!*payload) co_return net::json_response(200, account_document(request.account, request.base));
  const auto contacts = read_contacts(**payload);
  if (!contacts) co_return std::unexpected(contacts.error());
  const AccountChange change = [&](store::v1::Account& next) {
    if ((*payload)->contains("contact")) {
      next.clear_contacts();
      for (const auto& contact : *contacts) next.add_contacts(contact);
    }
    if (text_member(**payload, "status") == "deactivated") next.set_status("deactivated");
  };
  auto changed = co_await change_account(request, change);
  if (!changed) co_return std::unexpected(changed.error());
  co_return net::json_response(200, account_document(*changed, request.base));
}

// Section 7.1.2.1. The cursor is the last order of the page before.
Acme::Answer Acme::orders(Request& request, const std::string& id) {
  if (id != request.account.id()) co_return std::unexpected(AcmeError{403, "unauthorized", "this is not your account"});
  if (const Refusal refused = only_reads(request)) co_return std::unexpected(*refused);
  const std::string_view query = request.http.query;
  const std::string after = query.starts_with("after=") ? std::string(query.substr(6)) : "";
  for (std::uint32_t g = 1; g <= options_.regions; ++g) {
    const Refusal stale = co_await fresh(request.on(), GroupId{g}, store::order_index_record(id));
    if (stale) co_return std::unexpected(*stale);
  }
  const auto ids = store_.order_ids(id, after, options_.orders_per_page + 1);
  if (!ids) co_return std::unexpected(acme_error(ids.error()));
  json page = json::array();
  for (std::size_t i = 0; i < std::min(ids->size(), options_.orders_per_page); ++i) {
    const auto order = store_.order((*ids)[i]);
    if (!order) co_return std::unexpected(acme_error(order.error()));
    const bool open = *order && ((*order)->status() == "valid" || (*order)->expires_at_ms() > wall_.now().ms);
    if (open) page.push_back(request.base + "/order/" + (*ids)[i]);
  }
  auto response = net::json_response(200, json{{"orders", page}}.dump());
  if (ids->size() > options_.orders_per_page) {
    response.headers.add("Link", "<" + request.base + "/acct/" + id +
                                     "/orders?after=" + (*ids)[options_.orders_per_page - 1] + ">;rel=\"next\"");
  }
  co_return response;
}

Acme::Answer Acme::key_change(Request& request, const std::string&) {
  const auto inner = read_key_change(request.jws, request.account);
  if (!inner) co_return std::unexpected(inner.error());
  const std::string id = request.account.id();
  // First the key, for good; then the account. Between the two, and after a crash there, the old key is the account's
  // and the change can be repeated.
  store::v1::Command claim;
  claim.mutable_claim_account_key()->set_thumbprint(inner->thumbprint);
  claim.mutable_claim_account_key()->set_account_id(id);
  const GroupId key_home = home_group(store::home_of_thumbprint(inner->thumbprint, founding()));
  const auto claimed = co_await store_.submit(request.on(), key_home, std::move(claim), options_.timeout);
  if (!claimed) co_return std::unexpected(acme_error(claimed.error()));
  if (claimed->account_id() != id || inner->thumbprint == request.account.thumbprint()) {
    AcmeError taken{409, "malformed", "there is an account with the new key"};
    taken.location = request.base + "/acct/" + claimed->account_id();
    co_return std::unexpected(taken);
  }
  const AccountChange change = [&inner](store::v1::Account& next) {
    next.set_thumbprint(inner->thumbprint);
    next.set_jwk(inner->jwk_text);
  };
  auto changed = co_await change_account(request, change);
  if (!changed) co_return std::unexpected(changed.error());
  co_return located(200, *changed, request.base);
}

}  // namespace evercert::api
