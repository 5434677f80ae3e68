// SPDX-License-Identifier: Apache-2.0
// What every request has in common: routes, JWS, nonces, the account that signed.
#include "api/acme/acme.h"

#include <nlohmann/json.hpp>

#include "api/acme/documents.h"
#include "store/keys.h"

namespace evercert::api {

using nlohmann::json;

void Acme::post(Router& router, const std::string& pattern, Handler handler) {
  router.add("POST", pattern, [this, handler](net::HttpRequest request, std::vector<std::string> parts) {
    return handle(std::move(request), std::move(parts), handler);
  });
  // RFC 8555 section 6.3: resources are read by POST-as-GET.
  router.add("GET", pattern, [this](net::HttpRequest request, auto) -> Task<net::HttpResponse> {
    auto response = problem_response({405, "malformed", "read this by POST-as-GET: a JWS with an empty payload"});
    response.headers.set("Allow", "POST");
    co_return finish(std::move(response), base_of(request));
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
  router.add("GET", "/acme/renewal-info/{id}",
             [this](net::HttpRequest request, auto parts) { return renewal_info(std::move(request), parts[0]); });
  post(router, "/acme/new-account", &Acme::new_account);
  post(router, "/acme/acct/{id}", &Acme::account);
  post(router, "/acme/acct/{id}/orders", &Acme::orders);
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
  json meta{{"externalAccountRequired", false}};
  if (!options_.terms.url.empty()) meta["termsOfService"] = options_.terms.url;
  if (!options_.caa_identity.empty()) meta["caaIdentities"] = json::array({options_.caa_identity});
  return net::json_response(200, json{{"newNonce", base + "/new-nonce"},
                                      {"newAccount", base + "/new-account"},
                                      {"newOrder", base + "/new-order"},
                                      {"revokeCert", base + "/revoke-cert"},
                                      {"keyChange", base + "/key-change"},
                                      {"renewalInfo", base + "/renewal-info"},
                                      {"meta", meta}}
                                     .dump());
}

Task<net::HttpResponse> Acme::handle(net::HttpRequest http, std::vector<std::string> parts, Handler handler) {
  Request request{std::move(http), {}, {}, {}, {}};
  request.base = base_of(request.http);
  const std::string part = parts.empty() ? "" : parts.front();
  const Refusal refused = co_await open(request);
  if (refused) co_return finish(problem_response(*refused), request.base);
  auto answered = co_await (this->*handler)(request, part);
  co_return finish(answered ? std::move(*answered) : problem_response(answered.error()), request.base);
}

// RFC 8555 section 6: content type, JWS, nonce, URL, key, signature.
Task<Acme::Refusal> Acme::open(Request& request) {
  const auto type = request.http.headers.find("Content-Type").value_or("");
  if (type.substr(0, type.find_first_of("; ")) != "application/jose+json") {
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
    request.key = request.jws.jwk;
  } else {
    // Any host of ours: the account is named by the end of the URL alone.
    const auto slash = request.jws.kid.rfind("/acme/acct/");
    const std::string id = slash == std::string::npos ? "" : request.jws.kid.substr(slash + 11);
    auto account = co_await read_account(request.on(), id);
    if (!account) co_return Refusal(account.error());
    auto key = keys_.key_of(*account);
    if (!key) co_return Refusal(key.error());
    request.key = std::move(*key);
    request.account = std::move(*account);
  }
  if (!request.key->verify_jws(request.jws.algorithm, request.jws.signing_input, request.jws.signature)) {
    co_return Refusal(AcmeError{403, "unauthorized", "the signature of the JWS is wrong"});
  }
  if (!request.jws.jwk && request.account.status() != "valid")
    co_return Refusal(AcmeError{403, "unauthorized", "the account is " + request.account.status()});
  // Last, so that a stranger cannot use up nonces of others.
  if (!nonces_.use(request.jws.nonce))
    co_return Refusal(
        AcmeError{400, "badNonce", "the nonce is unknown, used or too old: try again with the fresh one"});
  co_return Refusal{};
}

AcmeResult<std::optional<json>> Acme::payload_of(const Request& request) {
  if (request.jws.payload.empty()) return std::optional<json>{};
  json payload = json::parse(request.jws.payload, nullptr, false);
  if (!payload.is_object()) return std::unexpected(AcmeError{400, "malformed", "the payload must be an object"});
  return std::optional(std::move(payload));
}

Acme::Refusal Acme::only_reads(const Request& request) {
  if (request.jws.payload.empty()) return {};
  return AcmeError{400, "malformed", "this is read by POST-as-GET: the payload must be empty"};
}

Task<Acme::Refusal> Acme::fresh(Executor& on, GroupId group, std::string record) {
  if (store_.fresh_now(group, record)) co_return Refusal{};
  const store::Freshness freshness = co_await store_.freshen(on, group, record, options_.timeout);
  if (freshness == store::Freshness::kFresh) co_return Refusal{};
  co_return Refusal(
      AcmeError{503, "serverInternal", "this region is cut off from the others: try again, or elsewhere"});
}

// Of an id that was read: it names a region.
GroupId Acme::home_of(const std::string& known_id) const {
  return store::home_of_acme_id(known_id, options_.regions).value_or(kGlobalGroup);
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

}  // namespace evercert::api
