// SPDX-License-Identifier: Apache-2.0
#include "ca/ca.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "pki/pem.h"
#include "pki/serial.h"
#include "store/keys.h"
#include "store/membership.h"

namespace evercert::ca {
CertificateAuthority::CertificateAuthority(CaOptions options, store::Store& store,
                                           std::shared_ptr<pki::CertificateFactory> factory, Intents& intents,
                                           WallClock& wall, Random& random)
    : options_(std::move(options)),
      store_(store),
      factory_(std::move(factory)),
      intents_(intents),
      wall_(wall),
      random_(random) {}

Result<pki::LintedTbs> CertificateAuthority::prepare(const IssueRequest& request, const std::string& serial,
                                                     store::v1::Certificate* record) const {
  const auto profile = options_.profiles.find(request.profile);
  if (profile == options_.profiles.end()) {
    std::string known;
    for (const auto& [name, p] : options_.profiles) known += (known.empty() ? "" : ", ") + name;
    return fail(Code::kInvalid, "there is no profile '" + request.profile.substr(0, 64) + "'; use one of " + known);
  }
  if (request.names.empty())
    return fail(Code::kInvalid, "the CSR asks for no name: put at least one into its subject alternative name");
  const std::int64_t now = wall_.now().seconds();
  pki::CertificateRequest wanted;
  wanted.serial = serial;
  wanted.not_before = now - pki::kBackdateSeconds;
  wanted.not_after = now - pki::kBackdateSeconds + profile->second.validity_seconds;
  wanted.names = request.names;
  for (const auto& name : request.names) {
    if (name.kind == pki::NameKind::kDns && name.value.size() <= 64) {
      wanted.common_name = name.value;
      break;
    }
  }
  wanted.key = &request.csr.key;
  record->set_serial(serial);
  record->set_issuer_region(options_.region.value);
  record->set_profile(request.profile);
  record->set_not_before(wanted.not_before);
  record->set_not_after(wanted.not_after);
  record->set_issued_at_ms(wall_.now().ms);
  record->set_account_id(request.account_id);
  record->set_order_id(request.order_id);
  record->set_request_key(request.request_key);
  record->set_request_digest(request.request_digest);
  record->set_spki_sha256(sha256(request.csr.key.spki_der()));
  return factory_->prepare(profile->second, wanted);
}

Status CertificateAuthority::check(const IssueRequest& request) const {
  store::v1::Certificate record;
  EC_TRY(prepare(request, pki::make_serial(request.home, random_), &record));
  return {};
}

Status CertificateAuthority::try_key() {
  std::lock_guard lock(trying_);
  const WallTime now = wall_.now();
  const bool known = tried_ && now.ms >= tried_->first.ms && now.ms - tried_->first.ms < kKeyTriedMs;
  if (!known) tried_.emplace(now, factory_->try_key(now.seconds()));
  return tried_->second;
}

Task<Result<Issued>> CertificateAuthority::issue(Executor& on, IssueRequest request) {
  if (!store_.clock_trusted()) {
    co_return fail(Code::kUnavailable, "this node's clock is far from its peers': it does not sign");
  }
  if (!request.request_key.empty()) co_return co_await issue_claimed(on, std::move(request));
  if (request.request_id.size() != pki::kSerialRandomBytes) {
    co_return co_await sign_and_store(on, request, pki::make_serial(request.home, random_));
  }
  if (request.attempt > 1) {
    auto earlier = co_await earlier_attempt(on, request);
    if (!earlier) co_return fail(std::move(earlier).error());
    if (*earlier) co_return std::move(**earlier);
  }
  co_return co_await sign_and_store(on, request, pki::serial_of(request.home, request.request_id));
}

// Prepares, writes the intent down, signs, and stores under `serial`. The intent of what is stored under an idempotency
// key stays open: whose the key is comes after.
Task<Result<Issued>> CertificateAuthority::sign_and_store(Executor& on, IssueRequest& request, std::string serial) {
  const Issuer& own = options_.issuers.at(options_.region.value);
  const auto epoch = store_.signing_epoch();
  if (!epoch) co_return fail(epoch.error(), own.region);
  store::v1::Command command;
  auto* record = command.mutable_issue()->mutable_certificate();
  record->set_epoch(epoch->value);
  command.mutable_issue()->set_order_id(request.order_id);
  auto tbs = prepare(request, serial, record);
  if (!tbs) co_return fail(std::move(tbs).error());
  if (const Status intended = co_await intents_.record(on, serial); !intended) {
    co_return fail(Code::kUnavailable, "the intent could not be written down: " + intended.error().message);
  }
  auto der = factory_->sign(std::move(*tbs));
  if (!der) {
    intents_.resolved(serial);  // there is no signature to forget
    co_return fail(std::move(der).error());
  }
  Issued issued;
  issued.chain_pem = pki::to_pem("CERTIFICATE", *der) + own.chain_pem;
  record->set_der(std::move(*der));
  auto outcome = co_await store_.submit(on, home_group(request.home), std::move(command), options_.submit_timeout);
  if (!outcome) {
    // Refused by the state machine, or surely not proposed: nobody holds the certificate, its serial is done with.
    if (outcome.error().code == Code::kUnknownOutcome) {
      doubt(serial, {});
    } else {
      intents_.resolved(serial);
    }
    // Fenced while it signed: nothing was stored, and another region's key may do it.
    if (store::refused_by_fence(outcome.error())) co_return fail(Code::kUnavailable, outcome.error().message);
    co_return fail(std::move(outcome).error());
  }
  if (request.request_key.empty()) intents_.resolved(serial);
  // Stored before, by this command (then it is the same) or by an earlier attempt (then that one counts).
  if (outcome->repeated_request()) {
    auto repeated = co_await issued_as(on, outcome->serial(), true);
    if (!repeated && !request.request_key.empty()) doubt(serial, {});
    co_return repeated;
  }
  issued.serial = std::move(serial);
  issued.issuer_region = own.region;
  issued.epoch = *epoch;
  co_return issued;
}

// The certificate of an earlier attempt with this edge's id, in whichever region it was made.
Task<Result<std::optional<Issued>>> CertificateAuthority::earlier_attempt(Executor& on, const IssueRequest& request) {
  for (std::uint32_t r = 1; r <= options_.regions; ++r) {
    const std::string serial = pki::serial_of(RegionId{static_cast<std::uint8_t>(r)}, request.request_id);
    auto found = co_await find(on, serial);
    if (!found) co_return fail(std::move(found).error());
    if (!found->certificate) continue;
    if (found->certificate->request_digest() != request.request_digest)
      co_return fail(Code::kConflict, "the request id was used for another request");
    auto issued = co_await issued_as(on, serial, true);
    if (!issued) co_return fail(std::move(issued).error());
    co_return std::optional(std::move(*issued));
  }
  co_return std::optional<Issued>{};
}

Task<Result<Issued>> CertificateAuthority::issued_as(Executor& on, std::string serial, bool repeated) {
  auto found = co_await find(on, serial);
  if (!found) co_return fail(std::move(found).error());
  if (!found->certificate)
    co_return fail(Code::kUnknownOutcome, "the certificate of this request is not visible here yet");
  Issued issued;
  issued.serial = serial;
  issued.chain_pem = chain_of(*found->certificate);
  issued.issuer_region = issuer_of(*found->certificate).region;
  issued.epoch = Epoch{found->certificate->epoch()};
  issued.repeated = repeated;
  co_return issued;
}

const Issuer& CertificateAuthority::issuer_of(const store::v1::Certificate& certificate) const {
  static const Issuer unknown;  // of a region that left the configuration
  const auto issuer = options_.issuers.find(certificate.issuer_region());
  return issuer == options_.issuers.end() ? unknown : issuer->second;
}

std::string CertificateAuthority::chain_of(const store::v1::Certificate& certificate) const {
  return pki::to_pem("CERTIFICATE", certificate.der()) + issuer_of(certificate).chain_pem;
}

Task<Result<CertificateAuthority::Found>> CertificateAuthority::find(Executor& on, std::string serial) {
  const auto group = store::home_of_serial(serial, options_.regions);
  if (!group) co_return Found{};  // not one of ours: surely no such certificate
  Found found;
  const std::string record = store::certificate_record(serial);
  if (!store_.fresh_now(*group, record)) {
    found.stale = co_await store_.freshen(on, *group, record, options_.read_timeout) == store::Freshness::kStale;
  }
  auto read = store_.certificate(serial);
  if (!read) co_return fail(std::move(read).error());
  found.certificate = std::move(*read);
  co_return found;
}

Task<Result<store::v1::Certificate>> CertificateAuthority::revoke(Executor& on, std::string serial, int reason,
                                                                  std::string by, std::string request_id) {
  const auto group = store::home_of_serial(serial, options_.regions);
  if (!group) co_return fail(Code::kNotFound, "no certificate has this serial number");
  store::v1::Command command;
  auto* revoke = command.mutable_revoke();
  revoke->set_serial(serial);
  revoke->set_revoked_at_ms(wall_.now().ms);
  revoke->set_reason(static_cast<std::uint32_t>(reason));
  revoke->set_by(std::move(by));
  revoke->set_request_id(request_id.empty() ? to_hex(random_.bytes(16)) : std::move(request_id));
  const std::int64_t revoked_at_ms = revoke->revoked_at_ms();
  auto outcome = co_await store_.submit(on, *group, std::move(command), options_.submit_timeout);
  if (!outcome) co_return fail(std::move(outcome).error());
  // Durable in every live region now. The copy here may be a moment behind; what it will say is known.
  auto read = store_.certificate(serial);
  if (!read) co_return fail(std::move(read).error());
  store::v1::Certificate certificate = *read ? std::move(**read) : store::v1::Certificate{};
  if (!certificate.revoked()) {
    certificate.set_serial(serial);
    certificate.set_revoked(true);
    certificate.set_revoked_at_ms(revoked_at_ms);
    certificate.set_reason(static_cast<std::uint32_t>(reason));
  }
  co_return certificate;
}

}  // namespace evercert::ca
