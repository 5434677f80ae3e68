// SPDX-License-Identifier: Apache-2.0
// The certificate authority of one region: prepares, signs, records, revokes. See docs/cycles/issuance.md.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/task_scope.h"
#include "ca/intents.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "store/store.h"

namespace evercert::ca {

// The issuing CA of one region.
struct Issuer {
  std::string region;     // name
  std::string chain_pem;  // as appended to its certificates
};

struct CaOptions {
  RegionId region;
  std::size_t regions = 0;
  std::map<std::string, pki::Profile> profiles;
  std::map<std::uint32_t, Issuer> issuers;  // by region, of all regions
  Duration submit_timeout = 8s;
  Duration read_timeout = 3s;
  // How long an issuance that is stored waits for its claim when no other use of the key is to be seen.
  Duration claim_grace = 25ms;
  // How long a repetition waits for the certificate of a request that has claimed its key and is not done.
  Duration claim_patience = 1s;
};

struct IssueRequest {
  pki::Csr csr;
  std::string profile;
  std::vector<pki::Name> names;  // what was authorized; REST: those of the CSR
  RegionId home;                 // of the record: the order's for ACME, this region's for REST
  std::string account_id, order_id;
  std::string request_digest;  // of what is asked for
  // Two ways of making a repetition exact; both may be empty.
  // A client's idempotency key: one certificate, whichever regions are asked, even at the same instant.
  std::string request_key{};
  // An edge's id for what it may have to repeat: 15 random bytes, which become the serial number's own part; and how
  // many times it has tried by now: the first attempt has no predecessor to look for.
  std::string request_id{};
  int attempt = 1;
};

struct Issued {
  std::string serial;  // 16 bytes
  std::string chain_pem;
  std::string issuer_region;  // whose key signed it: of a repeated answer not always the region that answers
  Epoch epoch;
  bool repeated = false;  // the answer of an earlier request with the same key
};

class CertificateAuthority {
 public:
  CertificateAuthority(CaOptions options, store::Store& store, std::shared_ptr<pki::CertificateFactory> factory,
                       Intents& intents, WallClock& wall, Random& random);

  // kInvalid: the request breaks a rule; kConflict: the key belongs to another request, or the order is not ready;
  // kUnavailable: nothing was done; kUnknownOutcome: ask again with the same key.
  Task<Result<Issued>> issue(Executor& on, IssueRequest request);
  // Whether a certificate could be made of it now, as far as this needs no store. kInvalid.
  Status check(const IssueRequest& request) const;
  // Whether the issuing key signs: CertificateFactory::try_key(). The answer is kept for kKeyTriedMs, so that whoever
  // asks often does not keep the token busy.
  Status try_key();
  static constexpr std::int64_t kKeyTriedMs = 5000;
  // kNotFound; kConflict: already revoked (unless by the same request_id). Returns the record as it is then.
  Task<Result<store::v1::Certificate>> revoke(Executor& on, std::string serial, int reason, std::string by,
                                              std::string request_id);
  // A fresh look at a certificate; nullopt: no such. `stale`: this region could not make sure.
  struct Found {
    std::optional<store::v1::Certificate> certificate;
    bool stale = false;
  };
  Task<Result<Found>> find(Executor& on, std::string serial);
  // Finishes or voids the intents of an earlier life and those whose outcome was unknown, revokes what was stored for
  // a key that another certificate has, and repeats claims that were lost. Call now and then.
  Task<std::size_t> settle_intents(Executor& on);
  // Since the start. Certificates that were given out for a key which turned out to be another's; stored ones that were
  // revoked because the key was another's, and that nobody was given; claims that were lost on their way after the
  // answer had been given, and sent again.
  struct Counts {
    std::atomic<std::uint64_t> given_twice{0}, withdrawn{0}, claims_repeated{0};
  };
  const Counts& counts() const { return counts_; }

  const Issuer& issuer_of(const store::v1::Certificate& certificate) const;
  std::string chain_of(const store::v1::Certificate& certificate) const;
  const CaOptions& options() const { return options_; }
  WallTime now() const { return wall_.now(); }

 private:
  // What the claims of a key say before anything is signed for it.
  struct Claimed {
    std::optional<Issued> issued;  // the key's certificate
    std::string instead_of;        // the key is bound to this voided serial number and may be bound anew
  };
  Task<Result<Issued>> issue_claimed(Executor& on, IssueRequest request);
  Task<Result<Claimed>> claimed(Executor& on, std::string key, std::string digest);
  Task<Result<Claimed>> certificate_of_claim(Executor& on, std::string serial);
  // What is claimed for a serial number.
  struct Claim {
    std::string key, digest;
    std::string instead_of;  // a voided serial number that the key was bound to
    bool given = false;      // the certificate was given out without waiting for the claim
  };
  Task<Result<std::string>> claim(Executor& on, std::string serial, Claim wanted);
  Task<Result<bool>> alone_with_key(Executor& on, const Started<Result<std::string>>& claiming, std::string key,
                                    std::string serial);
  Task<bool> give_unclaimed(Executor& on, Started<Result<std::string>> claiming, std::string serial, Claim wanted);
  Task<void> watch_claim(Started<Result<std::string>> claiming, std::string serial, Claim wanted);
  void given_twice(const std::string& serial, const std::string& winner);
  Task<bool> withdraw(Executor& on, std::string serial);
  Task<Result<std::optional<Issued>>> earlier_attempt(Executor& on, const IssueRequest& request);
  Task<Result<Issued>> sign_and_store(Executor& on, IssueRequest& request, std::string serial);
  Task<Result<Issued>> issued_as(Executor& on, std::string serial, bool repeated);
  Result<pki::LintedTbs> prepare(const IssueRequest& request, const std::string& serial,
                                 store::v1::Certificate* record) const;
  void doubt(const std::string& serial, Claim claim);
  Task<bool> settle_serial(Executor& on, std::string serial);
  Task<bool> settle_claim(Executor& on, std::string serial, Claim wanted);

  CaOptions options_;
  store::Store& store_;
  std::shared_ptr<pki::CertificateFactory> factory_;
  Intents& intents_;
  WallClock& wall_;
  Random& random_;
  std::mutex mutex_;
  struct Doubt {
    WallTime since;
    Claim claim;
  };
  std::map<std::string, Doubt> doubtful_;  // by serial: outcome of storing or claiming unknown
  Counts counts_;
  std::mutex trying_;
  std::optional<std::pair<WallTime, Status>> tried_;  // the key
  TaskScope claims_;                                  // that go on when their requests are over
};

}  // namespace evercert::ca
