// SPDX-License-Identifier: Apache-2.0
// Certificates: their download (RFC 8555 section 7.4.2) and their revocation (section 7.6).
#include <nlohmann/json.hpp>
#include <set>

#include "api/acme/acme.h"
#include "api/acme/documents.h"
#include "base/encoding.h"
#include "pki/certificate.h"
#include "pki/crl.h"
#include "store/keys.h"

namespace evercert::api {

using nlohmann::json;

namespace {

constexpr std::size_t kOrdersLookedAt = 1000;  // of an account that revokes what is not its own

const AcmeError kCutOff{503, "serverInternal", "this region cannot tell now: try again, or elsewhere"};

}  // namespace

Acme::Answer Acme::certificate(Request& request, const std::string& hex) {
  if (const Refusal refused = only_reads(request)) co_return std::unexpected(*refused);
  const auto serial = from_hex(hex);
  const auto found = co_await ca_.find(request.on(), serial.value_or(""));
  if (!found) co_return std::unexpected(acme_error(found.error()));
  if (!found->certificate && found->stale) co_return std::unexpected(kCutOff);
  if (!found->certificate) co_return std::unexpected(AcmeError{404, "malformed", "there is no such certificate"});
  if (found->certificate->account_id() != request.account.id())
    co_return std::unexpected(AcmeError{403, "unauthorized", "this is not your certificate"});
  net::HttpResponse response;
  response.headers.set("Content-Type", "application/pem-certificate-chain");
  response.body = ca_.chain_of(*found->certificate);
  co_return response;
}

// Whether the account has proved control over all of `names` in orders that have not expired.
Task<AcmeResult<bool>> Acme::proved_all(Request& request, std::vector<pki::Name> names) {
  const std::string& account = request.account.id();
  for (std::uint32_t g = 1; g <= options_.regions; ++g) {
    const Refusal stale = co_await fresh(request.on(), GroupId{g}, store::order_index_record(account));
    if (stale) co_return std::unexpected(*stale);
  }
  const auto ids = store_.order_ids(account, "", kOrdersLookedAt);
  if (!ids) co_return std::unexpected(acme_error(ids.error()));
  std::set<pki::Name> missing(names.begin(), names.end());
  for (auto id = ids->begin(); id != ids->end() && !missing.empty(); ++id) {
    const auto order = store_.order(*id);
    if (!order || !*order || (*order)->expires_at_ms() <= wall_.now().ms) continue;
    for (const auto& authorization_id : (*order)->authorization_ids()) {
      const auto read = store_.authorization(authorization_id);
      if (!read || !*read || (*read)->status() != "valid") continue;
      const auto& identifier = (*read)->identifier();
      missing.erase({identifier.type() == "ip" ? pki::NameKind::kIp : pki::NameKind::kDns,
                     ((*read)->wildcard() ? "*." : "") + identifier.value()});
    }
  }
  co_return missing.empty() && !names.empty();
}

// By the account that it was issued to, by one that has proved all its names, or by the certificate's own key.
Acme::Answer Acme::revoke(Request& request, const std::string&) {
  const auto payload = payload_of(request);
  if (!payload) co_return std::unexpected(payload.error());
  const json asked = payload->value_or(json::object());
  const auto der = from_base64url(text_member(asked, "certificate"));
  const auto facts = der ? pki::read_certificate(*der) : Result<pki::CertificateFacts>(fail(Code::kInvalid, ""));
  if (!facts)
    co_return std::unexpected(AcmeError{400, "malformed", "'certificate' must be a certificate in base64url"});
  const json reason = asked.value("reason", json(0));
  const bool known = reason.is_number_integer() && reason >= 0 && reason <= 10;
  if (!known || !pki::reason_accepted(reason.get<int>()))
    co_return std::unexpected(AcmeError{400, "badRevocationReason", "use 0, 1, 3, 4, 5 or 9"});
  const auto found = co_await ca_.find(request.on(), facts->serial);
  if (!found) co_return std::unexpected(acme_error(found.error()));
  if (!found->certificate && found->stale) co_return std::unexpected(kCutOff);
  if (!found->certificate || found->certificate->der() != *der)
    co_return std::unexpected(AcmeError{404, "malformed", "this CA did not issue that certificate"});
  bool by_owner = !request.account.id().empty() && found->certificate->account_id() == request.account.id();
  if (!request.account.id().empty() && !by_owner) {
    const auto proved = co_await proved_all(request, facts->names);
    if (!proved) co_return std::unexpected(proved.error());
    by_owner = *proved;
  }
  const bool by_key = request.jws.jwk && request.jws.jwk->spki_der() == facts->spki_der;
  if (!by_owner && !by_key)
    co_return std::unexpected(
        AcmeError{403, "unauthorized",
                  "neither the certificate's account, nor one that has proved its names, nor its key signed this"});
  const std::string actor = by_owner ? "account " + request.account.id() : std::string("certificate key");
  const auto revoked = co_await ca_.revoke(request.on(), facts->serial, reason.get<int>(), actor, {});
  if (!revoked) {
    if (revoked.error().code == Code::kConflict)
      co_return std::unexpected(AcmeError{400, "alreadyRevoked", "the certificate is already revoked"});
    co_return std::unexpected(acme_error(revoked.error()));
  }
  co_return net::HttpResponse{};
}

}  // namespace evercert::api
