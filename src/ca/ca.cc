// SPDX-License-Identifier: Apache-2.0
#include "ca/ca.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "pki/pem.h"
#include "pki/serial.h"
#include "store/keys.h"

namespace evercert::ca {
namespace {
constexpr int kSuperseded = 4;  // RFC 5280 section 5.3.1
}

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
  record->set_epoch(store_.epoch().value);
  record->set_spki_sha256(sha256(request.csr.key.spki_der()));
  return factory_->prepare(profile->second, wanted);
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

// Prepares, writes the intent down, signs, and stores under `serial`.
Task<Result<Issued>> CertificateAuthority::sign_and_store(Executor& on, IssueRequest& request, std::string serial) {
  store::v1::Command command;
  auto* record = command.mutable_issue()->mutable_certificate();
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
  record->set_der(*der);
  auto outcome = co_await store_.submit(on, home_group(request.home), std::move(command), options_.submit_timeout);
  if (!outcome) {
    // Refused by the state machine, or surely not proposed: nobody holds the certificate, its serial is done with.
    if (outcome.error().code == Code::kUnknownOutcome) {
      doubt(serial);
    } else {
      intents_.resolved(serial);
    }
    co_return fail(std::move(outcome).error());
  }
  intents_.resolved(serial);
  // Stored before, by this command (then it is the same) or by an earlier attempt (then that one counts).
  if (outcome->repeated_request()) co_return co_await issued_as(on, outcome->serial(), true);
  const Issuer& own = options_.issuers.at(options_.region.value);
  Issued issued;
  issued.serial = std::move(serial);
  issued.chain_pem = pki::to_pem("CERTIFICATE", *der) + own.chain_pem;
  issued.issuer_region = own.region;
  issued.epoch = store_.epoch();
  co_return issued;
}

void CertificateAuthority::doubt(const std::string& serial) {
  std::lock_guard lock(mutex_);
  doubtful_[serial] = wall_.now();
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

// ------------------------------------------------------------------------------------------------ idempotency keys
// A key's certificate is decided by the global group: the first claim wins, in whichever regions the key is used and
// even at the same instant. Claim and certificate are stored side by side, so that no round trip is added; who
// loses discards what it stored, which nobody has seen.

Task<Result<Issued>> CertificateAuthority::issue_claimed(Executor& on, IssueRequest request) {
  const std::string key = request.request_key, digest = request.request_digest;
  auto before = co_await claimed(on, key, digest);
  if (!before) co_return fail(std::move(before).error());
  if (before->issued) co_return std::move(*before->issued);
  const std::string serial = pki::make_serial(request.home, random_);
  Started<Result<std::string>> claiming(claim(on, key, serial, digest, before->instead_of));
  auto issued = co_await sign_and_store(on, request, serial);
  if (issued && issued->serial == serial) {
    // It is stored: that the look failed is no answer to give, and the claim says who has the key anyway.
    const auto alone = co_await alone_with_key(on, claiming, key, serial);
    if (alone && *alone) co_return std::move(issued);
  }
  auto winner = co_await claiming;
  if (winner && *winner == serial) {
    if (issued || issued.error().code != Code::kConflict) co_return issued;
    // A repetition saw the claim and for long no certificate: it has voided the serial number and begun anew.
    auto after = co_await claimed(on, key, digest);
    if (!after) co_return fail(std::move(after).error());
    if (after->issued) co_return std::move(*after->issued);
    co_return fail(Code::kUnavailable, "a repetition with the same idempotency key has taken over: repeat the request");
  }
  if (issued) {
    // Without an answer the claim may still win: then the certificate is the key's and must stay.
    const bool lost = winner.has_value() || winner.error().code == Code::kConflict;
    if (lost) co_await discard(on, serial);
  }
  if (!winner) {
    if (winner.error().code == Code::kConflict) co_return fail(std::move(winner).error());
    co_return fail(issued ? Code::kUnknownOutcome : winner.error().code,
                   "the idempotency key could not be claimed: " + winner.error().message);
  }
  auto first = co_await certificate_of_claim(on, *winner);
  if (!first) co_return fail(std::move(first).error());
  if (first->issued) co_return std::move(*first->issued);
  co_return fail(Code::kUnknownOutcome,
                 "the first request with this idempotency key did not come to an end: repeat it");
}

// With a region dead, the leader that decides claims may be two long ways off. The certificate is in every live
// region's log by now. Had another region stored one under the key before it saw this, its entry would be here; had it
// done so after, it has seen this one, and its claim left when ours had already passed. So after a moment's grace the
// answer is given, and the claim comes to its end alone. docs/cycles/issuance.md has the argument and what it leaves
// out.
Task<Result<bool>> CertificateAuthority::alone_with_key(Executor& on, const Started<Result<std::string>>& claiming,
                                                        std::string key, std::string serial) {
  constexpr int kLooks = 5;
  const Duration pause = options_.claim_grace / kLooks;
  for (int look = 0; look < kLooks && !claiming.done(); ++look) {
    auto start = [&on, pause](auto resolve) {
      on.post_after(pause, [resolve = std::move(resolve)]() mutable { resolve(true); });
    };
    auto waited = suspend_on<bool>(on, std::move(start));
    co_await waited;
  }
  if (claiming.done()) co_return false;
  co_return store_.alone_with_key(key, serial);
}

Task<Result<CertificateAuthority::Claimed>> CertificateAuthority::claimed(Executor& on, std::string key,
                                                                          std::string digest) {
  const std::string record = store::request_key_record(key);
  for (int look = 0;; ++look) {
    const auto bound = store_.request_key(key);
    if (!bound) co_return fail(bound.error());
    if (!*bound) co_return Claimed{};
    if (!(*bound)->committed) {
      if (look == 3) co_return fail(Code::kUnknownOutcome, "a request with this idempotency key is still under way");
      co_await store_.freshen(on, (*bound)->group, record, options_.read_timeout);
      continue;
    }
    if ((*bound)->request_digest != digest)
      co_return fail(Code::kConflict, "the idempotency key was used for another request");
    std::string serial = (*bound)->serial;
    if ((*bound)->group != kGlobalGroup) {
      // A certificate without a claim that is known here: its node may have died in between, or the claim is on its
      // way.
      const std::string instead_of_nothing;
      auto winner = co_await claim(on, key, serial, digest, instead_of_nothing);
      if (!winner) co_return fail(std::move(winner).error());
      serial = std::move(*winner);
    }
    co_return co_await certificate_of_claim(on, std::move(serial));
  }
}

// The certificate that a key is bound to. While it is not there yet its request is waited for; in the end the serial
// number is voided, so that the key can be bound anew and nothing can come of the first request any more.
Task<Result<CertificateAuthority::Claimed>> CertificateAuthority::certificate_of_claim(Executor& on,
                                                                                       std::string serial) {
  constexpr int kLooks = 20;
  const Duration pause = options_.claim_patience / kLooks;
  for (int look = 0; look < kLooks; ++look) {
    auto found = co_await find(on, serial);
    if (!found) co_return fail(std::move(found).error());
    if (found->certificate) {
      auto issued = co_await issued_as(on, serial, true);
      if (!issued) co_return fail(std::move(issued).error());
      co_return Claimed{std::move(*issued), {}};
    }
    auto start = [&on, pause](auto resolve) {
      on.post_after(pause, [resolve = std::move(resolve)]() mutable { resolve(true); });
    };
    auto waited = suspend_on<bool>(on, std::move(start));
    co_await waited;
  }
  const auto group = store::home_of_serial(serial, options_.regions);
  if (!group) co_return fail(Code::kCorrupt, "an idempotency key is bound to an impossible serial number");
  store::v1::Command command;
  command.mutable_void_serial()->set_serial(serial);
  const auto voided = co_await store_.submit(on, *group, std::move(command), options_.submit_timeout);
  if (voided) co_return Claimed{{}, std::move(serial)};
  if (voided.error().code != Code::kConflict) co_return fail(voided.error());
  auto issued = co_await issued_as(on, serial, true);  // stored in the last moment
  if (!issued) co_return fail(std::move(issued).error());
  co_return Claimed{std::move(*issued), {}};
}

// The serial number that the key is bound to now.
Task<Result<std::string>> CertificateAuthority::claim(Executor& on, std::string key, std::string serial,
                                                      std::string digest, std::string instead_of) {
  store::v1::Command command;
  auto* claim = command.mutable_claim_request_key();
  claim->set_request_key(std::move(key));
  claim->set_serial(std::move(serial));
  claim->set_request_digest(std::move(digest));
  claim->set_instead_of(std::move(instead_of));
  auto outcome = co_await store_.submit(on, kGlobalGroup, std::move(command), options_.submit_timeout);
  if (!outcome) co_return fail(std::move(outcome).error());
  co_return outcome->serial();
}

// A certificate that nobody was given, because another request with the same key was first.
Task<void> CertificateAuthority::discard(Executor& on, std::string serial) {
  const std::string hex = to_hex(serial);
  std::string by = "evercert: second use of an idempotency key", id = "discard:" + hex;
  const auto revoked = co_await revoke(on, serial, kSuperseded, std::move(by), std::move(id));
  if (!revoked)
    log_warning("ca: certificate " + hex + " was given to nobody and is not revoked: " + revoked.error().message);
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

Task<std::size_t> CertificateAuthority::settle_intents(Executor& on) {
  std::set<std::string> unsettled;
  for (auto& serial : intents_.left_behind()) unsettled.insert(std::move(serial));
  {
    std::lock_guard lock(mutex_);
    for (const auto& [serial, since] : doubtful_) {
      // The proposer has given up by then; a late commit is told by the void command's refusal.
      if (wall_.now().ms - since.ms > 2 * options_.submit_timeout.count() / 1000) unsettled.insert(serial);
    }
  }
  std::size_t settled = 0;
  for (const std::string& serial : unsettled) {
    const auto group = store::home_of_serial(serial, options_.regions);
    if (group) {
      store::v1::Command command;
      command.mutable_void_serial()->set_serial(serial);
      const auto outcome = co_await store_.submit(on, *group, std::move(command), options_.submit_timeout);
      // kConflict: the certificate was stored after all. Either way the serial's fate is decided.
      if (!outcome && outcome.error().code != Code::kConflict) continue;
      log_info("ca: intent " + to_hex(serial) + (outcome ? " voided" : " finished"));
    }
    intents_.resolved(serial);
    ++settled;
    std::lock_guard lock(mutex_);
    doubtful_.erase(serial);
  }
  co_return settled;
}

}  // namespace evercert::ca
