// SPDX-License-Identifier: Apache-2.0
// What an issuance left open: serial numbers of which it is not known whether anything was stored under them, stored
// certificates of which it is not known whether their idempotency key is theirs, and claims of keys.
#include "base/encoding.h"
#include "base/log.h"
#include "ca/ca.h"
#include "store/keys.h"

namespace evercert::ca {

void CertificateAuthority::doubt(const std::string& serial, Claim claim) {
  std::lock_guard lock(mutex_);
  doubtful_[serial] = {wall_.now(), std::move(claim)};
}

Task<std::size_t> CertificateAuthority::settle_intents(Executor& on) {
  std::map<std::string, Claim> unsettled;
  for (auto& serial : intents_.left_behind()) unsettled[std::move(serial)];
  {
    std::lock_guard lock(mutex_);
    for (const auto& [serial, doubt] : doubtful_) {
      // The proposer has given up by then; a late commit is told by the void command's refusal.
      if (wall_.now().ms - doubt.since.ms > 2 * options_.submit_timeout.count() / 1000) unsettled[serial] = doubt.claim;
    }
  }
  std::size_t settled = 0;
  for (const auto& [serial, claim] : unsettled) {
    auto settling = claim.given ? settle_claim(on, serial, claim) : settle_serial(on, serial);
    if (!co_await std::move(settling)) continue;
    intents_.resolved(serial);
    ++settled;
    std::lock_guard lock(mutex_);
    doubtful_.erase(serial);
  }
  co_return settled;
}

// Voids the serial number, unless a certificate was stored: then it stays or is withdrawn, as its key says. True: its
// fate is decided.
Task<bool> CertificateAuthority::settle_serial(Executor& on, std::string serial) {
  const auto group = store::home_of_serial(serial, options_.regions);
  if (!group) co_return true;
  store::v1::Command command;
  command.mutable_void_serial()->set_serial(serial);
  const auto voided = co_await store_.submit(on, *group, std::move(command), options_.submit_timeout);
  if (voided) {
    log_info("ca: intent " + to_hex(serial) + " voided");
    co_return true;
  }
  if (voided.error().code != Code::kConflict) co_return false;
  const auto found = co_await find(on, serial);
  if (!found || !found->certificate) co_return false;  // stored, and not to be seen here yet
  const auto& certificate = *found->certificate;
  if (certificate.request_key().empty() || certificate.revoked()) {
    log_info("ca: intent " + to_hex(serial) + " finished");
    co_return true;
  }
  const Claim claim{certificate.request_key(), certificate.request_digest(), {}};
  co_return co_await settle_claim(on, std::move(serial), claim);
}

// Claims the key of a certificate once more. Whoever has it, it is known afterwards (true).
Task<bool> CertificateAuthority::settle_claim(Executor& on, std::string serial, Claim wanted) {
  const bool given = wanted.given;
  const auto winner = co_await claim(on, serial, std::move(wanted));
  if (!winner && winner.error().code != Code::kConflict) co_return false;
  if (winner && *winner == serial) {
    log_info("ca: intent " + to_hex(serial) + " finished");
    co_return true;
  }
  if (!given) co_return co_await withdraw(on, std::move(serial));
  given_twice(serial, winner ? *winner : "");
  co_return true;
}

}  // namespace evercert::ca
