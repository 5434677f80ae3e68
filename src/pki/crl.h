// SPDX-License-Identifier: Apache-2.0
// Certificate revocation lists (RFC 5280 section 5).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pki/signer.h"

namespace evercert::pki {

struct CrlEntry {
  std::string serial;
  std::int64_t revoked_at = 0;  // seconds
  int reason = 0;
};

class CrlSigner;

// The to-be-signed bytes of a CRL: only make_crl makes them.
class UnsignedCrl {
 public:
  const std::string& tbs() const { return tbs_; }

 private:
  friend Result<std::string> make_crl(std::string_view, const CrlSigner&, std::uint64_t, std::int64_t, std::int64_t,
                                      const std::vector<CrlEntry>&);
  explicit UnsignedCrl(std::string tbs) : tbs_(std::move(tbs)) {}
  std::string tbs_;
};

// A key that signs CRLs and nothing else, whatever else it could sign: it is no Signer and gives none away, so nothing
// that makes certificates takes it. Thread-safe.
class CrlSigner {
 public:
  virtual ~CrlSigner() = default;
  // As Signer::sign.
  virtual Result<std::string> sign_crl(const UnsignedCrl& crl) const = 0;
  virtual const std::string& spki_der() const = 0;
  virtual const std::string& algorithm_der() const = 0;
};
// `key`, for CRLs only.
std::shared_ptr<const CrlSigner> crl_signer(std::shared_ptr<const Signer> key);

// DER. `issuer_certificate_der` must belong to the signer.
Result<std::string> make_crl(std::string_view issuer_certificate_der, const CrlSigner& signer, std::uint64_t number,
                             std::int64_t this_update, std::int64_t next_update, const std::vector<CrlEntry>& entries);

struct CrlFacts {
  std::uint64_t number = 0;
  std::int64_t this_update = 0, next_update = 0;
  std::vector<CrlEntry> entries;
};
// kInvalid: does not parse, or is not signed by the issuer.
Result<CrlFacts> read_crl(std::string_view der, std::string_view issuer_certificate_der);

// RFC 5280 names: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn.
// kInvalid names those that are accepted for leaf certificates.
Result<int> reason_from_name(std::string_view name);
std::string_view reason_name(int reason);
bool reason_accepted(int reason);

}  // namespace evercert::pki
