// SPDX-License-Identifier: Apache-2.0
#include "api/rest/rest.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "api/rest/json_body.h"
#include "api/rest/performer.h"
#include "base/encoding.h"
#include "base/rfc3339.h"
#include "pki/crl.h"
#include "store/keys.h"
#include "traffic/policy/criticality.h"

namespace evercert::api {
namespace {

using nlohmann::json;

json describe(const store::v1::Certificate& certificate) {
  return {{"serial", to_hex(certificate.serial())},
          {"status", certificate.revoked() ? "revoked" : "good"},
          {"not_before", rfc3339(certificate.not_before() * 1000)},
          {"not_after", rfc3339(certificate.not_after() * 1000)}};
}

// The certificate that a new one is to take the place of; empty: none is named.
Result<std::string> replaced(const json& body) {
  if (!body.contains("replaces")) return std::string();
  EC_ASSIGN(const auto hex, required_text(body, "replaces"));
  auto serial = from_hex(hex);
  if (!serial || serial->empty())
    return fail(Code::kInvalid, "'replaces' must be the serial number of a certificate, in hexadecimal digits");
  return serial;
}

void append_pem(std::string& out, std::string_view pem) {
  out += '"';
  while (!pem.empty()) {
    const auto end = pem.find('\n');
    out += pem.substr(0, end);
    if (end == std::string_view::npos) break;
    out += "\\n";
    pem.remove_prefix(end + 1);
  }
  out += '"';
}

void add_revocation(json& out, const store::v1::Certificate& certificate) {
  out["revoked_at"] = certificate.revoked() ? json(rfc3339(certificate.revoked_at_ms())) : json(nullptr);
  out["reason"] =
      certificate.revoked() ? json(pki::reason_name(static_cast<int>(certificate.reason()))) : json(nullptr);
}

}  // namespace

void Rest::mount(Router& router) {
  router.add("POST", "/v1/certificates", [this](net::HttpRequest r, auto) { return issue(std::move(r)); });
  router.add("GET", "/v1/certificates", [this](net::HttpRequest r, auto) { return list(std::move(r)); });
  router.add("GET", "/v1/certificates/{serial}",
             [this](net::HttpRequest r, auto parts) { return get(std::move(r), parts[0]); });
  router.add("POST", "/v1/certificates/{serial}/revoke",
             [this](net::HttpRequest r, auto parts) { return revoke(std::move(r), parts[0]); });
}

Rest::Caller Rest::authenticate(const net::HttpRequest& request) const {
  std::string_view identity = request.client_identity;
  // An edge has verified its client's certificate and says whose it was; only an edge is believed.
  if (identity.starts_with(edge_identities_)) identity = request.headers.find("Evercert-Client-Identity").value_or("");
  if (identity.starts_with(operator_identities_))
    return {std::string(identity.substr(operator_identities_.size())), Role::kOperator};
  const auto header = request.headers.find("Authorization");
  if (!header || !header->starts_with("Bearer ")) return {};
  // The look-up is by hash: what an attacker could time is the hash of a guess.
  const auto token = options_.tokens.find(sha256(header->substr(7)));
  if (token == options_.tokens.end()) return {};
  return {token->second.first, token->second.second};
}

std::optional<net::HttpResponse> Rest::refuse(const net::HttpRequest& request, Role least, Caller* caller) const {
  *caller = authenticate(request);
  if (caller->role == Role::kNone) {
    auto response = net::problem(401, "Unauthorized",
                                 "send 'Authorization: Bearer <token>' or a client certificate of an operator");
    response.headers.set("WWW-Authenticate", "Bearer");
    return response;
  }
  if (caller->role < least) return net::problem(403, "Forbidden", "the token '" + caller->name + "' may not do this");
  return std::nullopt;
}

bool Rest::from_edge(const net::HttpRequest& request) const {
  return request.client_identity.starts_with(edge_identities_);
}

std::optional<degraded::ModeView> Rest::lost(GroupId group) const {
  return deferral_ == nullptr ? std::nullopt : deferral_->lost(group);
}

// What is known to be bound is answered without a majority.
bool Rest::known_key(const std::string& key) const {
  if (key.empty()) return false;
  const auto bound = store_.request_key(key);
  return bound && *bound && (*bound)->committed;
}

degraded::v1::Operation Rest::to_queue(const ca::IssueRequest& wanted, const std::string& csr_pem,
                                       const std::string& replaces) const {
  degraded::v1::Operation operation;
  operation.set_kind(degraded::v1::ISSUANCE);
  operation.set_csr_pem(csr_pem);
  operation.set_profile(wanted.profile);
  operation.set_digest(wanted.request_digest);
  operation.set_repeat(wanted.request_key);
  if (replaces.empty()) return operation;
  operation.set_replaces(replaces);
  // Anybody may say so; what is not known here is no renewal.
  const auto before = store_.certificate(replaces);
  if (before && *before) operation.set_kind(degraded::v1::RENEWAL);
  return operation;
}

Task<net::HttpResponse> Rest::defer(const net::HttpRequest& request, const Caller& caller, degraded::ModeView mode,
                                    degraded::v1::Operation wanted) {
  wanted.set_caller(caller.name);
  // Under the same key a repetition finds what waits. Keys of clients and of edges are different ones.
  const std::string scope = wanted.kind() == degraded::v1::REVOCATION ? "revoke:" : "issue:";
  const auto key = idempotency_key(request).value_or(""), id = request_id(request).value_or("");
  if (!key.empty()) {
    wanted.set_key(scope + "client:" + key);
  } else if (!id.empty() && from_edge(request)) {
    wanted.set_key(scope + "edge:" + id);
  }
  return deferral_->defer(request, from_edge(request), std::move(mode), std::move(wanted));
}

Task<net::HttpResponse> Rest::issue(net::HttpRequest request) {
  Caller caller;
  if (auto refused = refuse(request, Role::kIssuer, &caller)) co_return std::move(*refused);
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  if (const Status known = only_members(*body, {"csr", "profile", "replaces"}); !known)
    co_return net::problem(known.error());
  const auto pem = required_text(*body, "csr");
  if (!pem) co_return net::problem(pem.error());
  auto profile = required_text(*body, "profile");
  if (!profile) co_return net::problem(profile.error());
  auto replaces = replaced(*body);
  if (!replaces) co_return net::problem(replaces.error());
  auto wanted = issue_request_of(ca_, *pem, std::move(*profile));
  if (!wanted) co_return net::problem(wanted.error());
  const auto key = idempotency_key(request);
  if (!key) co_return net::problem(key.error());
  // Keys of clients are their own; an edge makes an id for its own repetitions.
  if (!key->empty()) {
    wanted->request_key = caller.name + ":" + *key;
  } else if (from_edge(request)) {
    wanted->request_id = from_hex(request.headers.find("Evercert-Request-Id").value_or("")).value_or("");
    wanted->attempt = request.headers.find("Evercert-Attempt").value_or("") == "1" ? 1 : 2;
  }
  degraded::v1::Operation waiting =
      deferral_ == nullptr ? degraded::v1::Operation{} : to_queue(*wanted, *pem, *replaces);
  // For the edge, which has taken it at its word.
  const std::string renewal = replaces->empty() || !from_edge(request) ? "" : renewal_due(*replaces) ? "yes" : "no";
  const GroupId group = home_group(wanted->home);
  if (auto mode = lost(group); mode && !known_key(wanted->request_key)) {
    // What could never be issued is not to wait.
    if (const Status sound = ca_.check(*wanted); !sound) co_return net::problem(sound.error());
    co_return co_await defer(request, caller, std::move(*mode), std::move(waiting));
  }
  const auto issued = co_await ca_.issue(*request.executor, std::move(*wanted));
  if (!issued && issued.error().code == Code::kUnavailable && deferral_ != nullptr) {
    if (auto mode = deferral_->lost_now(group))
      co_return co_await defer(request, caller, std::move(*mode), std::move(waiting));
  }
  if (!issued) co_return net::problem(issued.error());
  const std::string serial = to_hex(issued->serial);
  // The chain is most of the answer and, being PEM, needs nothing escaped but its line ends.
  std::string text;
  constexpr std::size_t kMembers = 160, kLine = 64;
  text.reserve(issued->chain_pem.size() + issued->chain_pem.size() / kLine + kMembers);
  text.append("{\"epoch\":").append(std::to_string(issued->epoch.value));
  text.append(",\"region\":").append(json(issued->issuer_region).dump());
  text.append(",\"serial\":\"").append(serial).append("\",\"certificate\":");
  append_pem(text, issued->chain_pem);
  text += '}';
  auto response = net::json_response(201, std::move(text));
  response.headers.set("Location", "/v1/certificates/" + serial);
  if (!renewal.empty()) response.headers.set("Evercert-Renewal", renewal);
  co_return response;
}

// As far as this node knows.
bool Rest::renewal_due(const std::string& serial) const {
  const auto before = store_.certificate(serial);
  if (!before || !*before) return false;
  return (*before)->revoked() ||
         traffic::in_renewal_window({(*before)->not_before() * 1000}, {(*before)->not_after() * 1000}, ca_.now());
}

Task<net::HttpResponse> Rest::get(net::HttpRequest request, std::string hex) {
  Caller caller;
  if (auto refused = refuse(request, Role::kReader, &caller)) co_return std::move(*refused);
  const auto serial = from_hex(hex);
  if (!serial) co_return net::problem(fail(Code::kInvalid, "a serial number is written in hexadecimal digits").error());
  const auto found = co_await ca_.find(*request.executor, *serial);
  if (!found) co_return net::problem(found.error());
  if (!found->certificate) {
    // A region that cannot be sure must not deny what another may have issued.
    if (found->stale)
      co_return net::problem(fail(Code::kUnavailable, "this region cannot tell now: ask another").error());
    co_return net::problem(404, "Not Found", "no certificate has the serial number " + hex.substr(0, 64));
  }
  json out = describe(*found->certificate);
  add_revocation(out, *found->certificate);
  out["certificate"] = ca_.chain_of(*found->certificate);
  auto response = net::json_response(200, out.dump());
  if (found->stale) response.headers.set("Evercert-Stale", "true");
  co_return response;
}

Task<net::HttpResponse> Rest::revoke(net::HttpRequest request, std::string hex) {
  Caller caller;
  if (auto refused = refuse(request, Role::kIssuer, &caller)) co_return std::move(*refused);
  const auto serial = from_hex(hex);
  if (!serial) co_return net::problem(fail(Code::kInvalid, "a serial number is written in hexadecimal digits").error());
  const auto body = read_object(request);
  if (!body) co_return net::problem(body.error());
  const auto name = required_text(*body, "reason");
  if (!name) co_return net::problem(name.error());
  const auto reason = pki::reason_from_name(*name);
  if (!reason) co_return net::problem(reason.error());
  auto id = request_id(request);
  if (!id) co_return net::problem(id.error());
  const auto group = store::home_of_serial(*serial, ca_.options().regions);
  degraded::v1::Operation waiting;
  waiting.set_kind(degraded::v1::REVOCATION);
  waiting.set_serial(*serial);
  waiting.set_reason(static_cast<std::uint32_t>(*reason));
  waiting.set_digest(sha256(*serial + static_cast<char>(*reason)));
  waiting.set_repeat(*id);
  if (group) {
    if (auto mode = lost(*group)) co_return co_await defer(request, caller, std::move(*mode), std::move(waiting));
  }
  const auto revoked = co_await ca_.revoke(*request.executor, *serial, *reason, caller.name, std::move(*id));
  if (!revoked && revoked.error().code == Code::kUnavailable && deferral_ != nullptr) {
    if (auto mode = deferral_->lost_now(*group))
      co_return co_await defer(request, caller, std::move(*mode), std::move(waiting));
  }
  if (!revoked) co_return net::problem(revoked.error());
  json out{{"serial", hex}, {"status", "revoked"}};
  add_revocation(out, *revoked);
  co_return net::json_response(200, out.dump());
}

Task<net::HttpResponse> Rest::list(net::HttpRequest request) {
  Caller caller;
  if (auto refused = refuse(request, Role::kReader, &caller)) co_return std::move(*refused);
  std::size_t limit = 100;
  if (const Status read = read_limit(request, limit); !read) co_return net::problem(read.error());
  const auto cursor = from_hex(query_value(request.query, "cursor").value_or(""));
  if (!cursor || (!cursor->empty() && cursor->size() != 16)) {
    co_return net::problem(fail(Code::kInvalid, "'cursor' must be the next_cursor of an earlier answer").error());
  }
  bool stale = false;
  for (std::uint32_t g = 1; g <= ca_.options().regions; ++g) {
    stale = co_await store_.freshen(*request.executor, GroupId{g}, "", 1s) == store::Freshness::kStale || stale;
  }
  const auto found = store_.list_certificates(*cursor, limit + 1);
  if (!found) co_return net::problem(found.error());
  json certificates = json::array();
  for (std::size_t i = 0; i < std::min(limit, found->size()); ++i) certificates.push_back(describe((*found)[i]));
  json out{{"certificates", certificates}, {"next_cursor", nullptr}};
  if (found->size() > limit) out["next_cursor"] = to_hex((*found)[limit - 1].serial());
  auto response = net::json_response(200, out.dump());
  if (stale) response.headers.set("Evercert-Stale", "true");
  co_return response;
}

}  // namespace evercert::api
