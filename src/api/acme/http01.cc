// SPDX-License-Identifier: Apache-2.0
#include "api/acme/http01.h"

#include <openssl/http.h>

#include "api/acme/host_addresses.h"
#include "pki/names.h"
#include "pki/openssl.h"

namespace evercert::api {
namespace {

constexpr int kMostRedirects = 5;
constexpr std::size_t kMostBytes = 16 * 1024;
constexpr Duration kTryAnother = 500ms;  // a connection that takes longer, when there is another address

using Text = pki::Owned<char, [](char* text) { OPENSSL_free(text); }>;

std::string trimmed(std::string body) {
  while (!body.empty() && (body.back() == '\n' || body.back() == '\r' || body.back() == ' ')) body.pop_back();
  return body;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

Task<std::optional<AcmeError>> Http01::check(Executor& on, const ValidationRequest& request) {
  Place place{false, request.identifier, "/.well-known/acme-challenge/" + request.token, port_};
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    const std::string where = (place.tls ? "https://" : "http://") + place.host;
    const auto addresses = co_await addresses_of(on, request, place);
    if (!addresses) co_return AcmeError{400, "dns", addresses.error().message};
    const auto response = co_await fetch(on, place, *addresses);
    if (!response) co_return AcmeError{400, "connection", where + ": " + response.error().message};
    if (is_redirect(response->status)) {
      auto next = redirected(place, response->headers.get("Location"));
      if (!next) co_return AcmeError{403, "unauthorized", where + " redirects: " + next.error().message};
      place = std::move(*next);
      continue;
    }
    if (response->status != 200)
      co_return AcmeError{403, "unauthorized",
                          where + " answers the challenge with status " + std::to_string(response->status)};
    if (trimmed(response->body) != request.key_authorization)
      co_return AcmeError{403, "incorrectResponse", where + " serves another key authorization"};
    co_return std::nullopt;
  }
  co_return AcmeError{403, "unauthorized", request.identifier + " redirects more than five times"};
}

// A stranger chooses where a redirect leads: to hosts with a name, at the ports of the web alone.
Result<Http01::Place> Http01::redirected(const Place& from, const std::string& location) const {
  if (location.starts_with('/') && !location.starts_with("//")) {
    Place next = from;
    next.path = location.substr(0, location.find('#'));
    return next;
  }
  if (!location.starts_with("http://") && !location.starts_with("https://"))
    return fail(Code::kInvalid, "not to an address of the web");
  int tls = 0, port = 0;
  char *user = nullptr, *host = nullptr, *port_text = nullptr, *path = nullptr, *query = nullptr, *fragment = nullptr;
  const int parsed =
      OSSL_HTTP_parse_url(location.c_str(), &tls, &user, &host, &port_text, &port, &path, &query, &fragment);
  const Text own[] = {Text(user), Text(host), Text(port_text), Text(path), Text(query), Text(fragment)};
  ERR_clear_error();
  if (parsed != 1) return fail(Code::kInvalid, "not to an address of the web");
  if (user != nullptr && *user != '\0') return fail(Code::kInvalid, "to an address with a user's name in it");
  if (port != 80 && port != 443 && port != port_) return fail(Code::kInvalid, "to a port other than 80 and 443");
  Place next{tls != 0, host, path, static_cast<std::uint16_t>(port)};
  if (query != nullptr && *query != '\0') next.path += "?" + std::string(query);
  if (next.host != from.host) EC_TRY(pki::check_dns_name(next.host, false));
  return next;
}

Task<Result<Http01::Addresses>> Http01::addresses_of(Executor& on, const ValidationRequest& request,
                                                     const Place& place) {
  if (request.identifier_type == "ip" && place.host == request.identifier) co_return Addresses{place.host};
  co_return co_await host_addresses(on, dns_, lookups_, place.host);
}

// The next address after a connection that failed (RFC 8305, one at a time), not after an answer that does not please.
Task<Result<net::HttpResponse>> Http01::fetch(Executor& on, const Place& place, const Addresses& addresses) {
  const std::string name = place.host.find(':') == std::string::npos ? place.host : "[" + place.host + "]";
  const bool usual = place.port == (place.tls ? 443 : 80);
  Result<net::HttpResponse> response = fail(Code::kUnavailable, "no address");
  for (const std::string& address : addresses) {
    net::HttpCall call;
    call.target = {address, place.port, place.tls, place.host, true};
    call.path = place.path;
    call.headers.set("Host", usual ? name : name + ":" + std::to_string(place.port));
    if (&address != &addresses.back()) call.connect_timeout = kTryAnother;
    call.timeout = 3s;
    call.max_response_bytes = kMostBytes;
    response = co_await client_.fetch(on, std::move(call));
    if (response || response.error().code != Code::kUnavailable) break;
  }
  co_return response;
}

}  // namespace evercert::api
