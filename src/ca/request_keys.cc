// SPDX-License-Identifier: Apache-2.0
// Idempotency keys. A key's certificate is decided by the global group: the first claim wins, in whichever regions the
// key is used and even at the same instant. Claim and certificate are stored side by side, so that no round trip is
// added; who loses withdraws what it stored, which nobody has seen.
#include "base/encoding.h"
#include "base/log.h"
#include "base/pause.h"
#include "ca/ca.h"
#include "pki/serial.h"
#include "store/keys.h"

namespace evercert::ca {
namespace {

constexpr int kSuperseded = 4;  // RFC 5280 section 5.3.1

}  // namespace

Task<Result<Issued>> CertificateAuthority::issue_claimed(Executor& on, IssueRequest request) {
  const std::string key = request.request_key, digest = request.request_digest;
  auto before = co_await claimed(on, key, digest);
  if (!before) co_return fail(std::move(before).error());
  if (before->issued) co_return std::move(*before->issued);
  const std::string serial = pki::make_serial(request.home, random_);
  const Claim wanted{key, digest, before->instead_of};
  Started<Result<std::string>> claiming(claims_, claim(on, serial, wanted));
  auto issued = co_await sign_and_store(on, request, serial);
  if (issued) {
    // It is stored: that the look failed is no answer to give, and the claim says who has the key anyway.
    const auto alone = co_await alone_with_key(on, claiming, key, serial);
    if (alone && *alone && co_await give_unclaimed(on, claiming, serial, wanted)) co_return std::move(issued);
  }
  auto winner = co_await claiming;
  if (winner && *winner == serial) {
    if (issued) intents_.resolved(serial);
    if (issued || issued.error().code != Code::kConflict) co_return issued;
    // A repetition saw the claim and for long no certificate: it has voided the serial number and begun anew.
    auto after = co_await claimed(on, key, digest);
    if (!after) co_return fail(std::move(after).error());
    if (after->issued) co_return std::move(*after->issued);
    co_return fail(Code::kUnavailable, "a repetition with the same idempotency key has taken over: repeat the request");
  }
  if (issued) {
    // Without an answer the claim may still win: then the certificate is the key's and must stay. What remains is
    // settled later, also after a crash: the intent is open.
    const bool lost = winner.has_value() || winner.error().code == Code::kConflict;
    if (lost && co_await withdraw(on, serial)) {
      intents_.resolved(serial);
    } else {
      doubt(serial, wanted);
    }
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
  for (int look = 0; look < kLooks && !claiming.done(); ++look) co_await pause(on, options_.claim_grace / kLooks);
  if (claiming.done()) co_return false;
  co_return store_.alone_with_key(key, serial);
}

// Before the answer is given without the claim: from now on the certificate is somebody's, also after a crash. False:
// the claim came meanwhile and decides, or the disk refused.
Task<bool> CertificateAuthority::give_unclaimed(Executor& on, Started<Result<std::string>> claiming, std::string serial,
                                                Claim wanted) {
  const Status given = co_await intents_.close(on, serial);
  if (given && !claiming.done()) {
    claims_.spawn(watch_claim(std::move(claiming), std::move(serial), std::move(wanted)));
    co_return true;
  }
  // Nobody has it yet: open again, should it have to be withdrawn.
  const Status reopened = co_await intents_.record(on, serial);
  if (!reopened)
    log_warning("ca: the intent of " + to_hex(serial) + " is not written down: " + reopened.error().message);
  co_return false;
}

Task<void> CertificateAuthority::watch_claim(Started<Result<std::string>> claiming, std::string serial, Claim wanted) {
  const auto winner = co_await claiming;
  if (winner && *winner == serial) co_return;
  if (!winner && winner.error().code != Code::kConflict) {
    log_warning("ca: the claim for certificate " + to_hex(serial) +
                ", given out by now, was lost and is repeated: " + winner.error().message);
    ++counts_.claims_repeated;
    wanted.given = true;
    doubt(serial, std::move(wanted));
    co_return;
  }
  given_twice(serial, winner ? *winner : "");
}

void CertificateAuthority::given_twice(const std::string& serial, const std::string& winner) {
  ++counts_.given_twice;
  log_error("ca: certificate " + to_hex(serial) + " was given out for an idempotency key that belongs to " +
            (winner.empty() ? "another request" : "certificate " + to_hex(winner)));
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
      const Claim wanted{key, digest, {}};
      auto winner = co_await claim(on, serial, wanted);
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
  for (int look = 0; look < kLooks; ++look) {
    auto found = co_await find(on, serial);
    if (!found) co_return fail(std::move(found).error());
    if (found->certificate) {
      auto issued = co_await issued_as(on, serial, true);
      if (!issued) co_return fail(std::move(issued).error());
      co_return Claimed{std::move(*issued), {}};
    }
    co_await pause(on, options_.claim_patience / kLooks);
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
Task<Result<std::string>> CertificateAuthority::claim(Executor& on, std::string serial, Claim wanted) {
  store::v1::Command command;
  auto* claim = command.mutable_claim_request_key();
  claim->set_request_key(std::move(wanted.key));
  claim->set_serial(std::move(serial));
  claim->set_request_digest(std::move(wanted.digest));
  claim->set_instead_of(std::move(wanted.instead_of));
  auto outcome = co_await store_.submit(on, kGlobalGroup, std::move(command), options_.submit_timeout);
  if (!outcome) co_return fail(std::move(outcome).error());
  co_return outcome->serial();
}

// A certificate that nobody was given, because another request with the same key was first. False: not yet.
Task<bool> CertificateAuthority::withdraw(Executor& on, std::string serial) {
  const std::string hex = to_hex(serial);
  std::string by = "evercert: second use of an idempotency key", id = "discard:" + hex;
  const auto revoked = co_await revoke(on, serial, kSuperseded, std::move(by), std::move(id));
  if (!revoked && revoked.error().code != Code::kConflict) {
    log_warning("ca: certificate " + hex + " was given to nobody and is to be revoked: " + revoked.error().message);
    co_return false;
  }
  ++counts_.withdrawn;
  co_return true;
}

}  // namespace evercert::ca
