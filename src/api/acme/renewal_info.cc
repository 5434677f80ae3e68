// SPDX-License-Identifier: Apache-2.0
#include "api/acme/renewal_info.h"

#include <nlohmann/json.hpp>

#include "api/acme/acme.h"
#include "api/acme/documents.h"
#include "base/encoding.h"
#include "base/rfc3339.h"
#include "pki/certificate.h"
#include "traffic/policy/criticality.h"

namespace evercert::api {

using nlohmann::json;

namespace {

constexpr std::int64_t kHourMs = 3600 * 1000;
constexpr const char* kAskAgainSeconds = "21600";  // section 4.3.3 lets clients ask as seldom as each day

}  // namespace

bool names(const CertificateId& id, const store::v1::Certificate& certificate) {
  const auto facts = pki::read_certificate(certificate.der());
  return facts && facts->serial == id.serial && facts->authority_key_id == id.authority_key_id;
}

SuggestedWindow suggested_window(const store::v1::Certificate& certificate) {
  const std::int64_t from = certificate.not_before() * 1000, life = certificate.not_after() * 1000 - from;
  if (certificate.revoked()) return {{certificate.revoked_at_ms() - kHourMs}, {certificate.revoked_at_ms()}};
  return {{from + life / 3 * 2}, {from + life / 4 * 3}};
}

Task<net::HttpResponse> Acme::renewal_info(net::HttpRequest request, std::string text) {
  const auto id = parse_certificate_id(text);
  if (!id) co_return problem_response(id.error());
  const auto found = co_await ca_.find(*request.executor, id->serial);
  if (!found) co_return problem_response(acme_error(found.error()));
  if (!found->certificate && found->stale)
    co_return problem_response({503, "serverInternal", "this region cannot tell now: try again, or elsewhere"});
  if (!found->certificate || !names(*id, *found->certificate))
    co_return problem_response({404, "malformed", "there is no such certificate"});
  const SuggestedWindow window = suggested_window(*found->certificate);
  auto response = net::json_response(
      200, json{{"suggestedWindow", {{"start", rfc3339(window.start.ms)}, {"end", rfc3339(window.end.ms)}}}}.dump());
  response.headers.set("Retry-After", kAskAgainSeconds);
  co_return response;
}

// Section 5: of whom orders one, and what it replaces; `due`: it is a renewal by now. Without the member: empty.
Task<AcmeResult<Acme::Replaced>> Acme::replaced(Request& request, const json& asked, const store::v1::Order& order) {
  const auto member = asked.find("replaces");
  if (member == asked.end()) co_return Replaced{};
  const std::string text = text_member(asked, "replaces");
  const auto id = parse_certificate_id(text);
  if (!id) co_return std::unexpected(id.error());
  const auto found = co_await ca_.find(request.on(), id->serial);
  if (!found) co_return std::unexpected(acme_error(found.error()));
  // The order is worth more than knowing: a region that is cut off takes it as one that replaces something.
  if (!found->certificate && found->stale) co_return Replaced{text, false};
  if (!found->certificate || !names(*id, *found->certificate))
    co_return std::unexpected(AcmeError{404, "malformed", "'replaces' names no certificate of this CA"});
  if (found->certificate->account_id() != request.account.id())
    co_return std::unexpected(AcmeError{403, "unauthorized", "'replaces' names a certificate of another account"});
  const auto facts = pki::read_certificate(found->certificate->der());
  if (!facts) co_return std::unexpected(acme_error(facts.error()));
  const bool shared = std::ranges::any_of(order.identifiers(), [&](const auto& identifier) {
    return std::ranges::any_of(facts->names, [&](const pki::Name& name) { return name.value == identifier.value(); });
  });
  if (!shared)
    co_return std::unexpected(
        AcmeError{400, "malformed", "'replaces' names a certificate that has none of the identifiers"});
  const bool due = found->certificate->revoked() ||
                   traffic::in_renewal_window({facts->not_before * 1000}, {facts->not_after * 1000}, wall_.now());
  co_return Replaced{text, due};
}

}  // namespace evercert::api
