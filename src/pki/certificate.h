// SPDX-License-Identifier: Apache-2.0
// Certificates: made from prepared parts (RFC 5280), and read back into facts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pki/names.h"
#include "pki/public_key.h"
#include "pki/signer.h"

namespace evercert::pki {

enum class Usage { kServer, kClient, kBoth, kIssuingCa, kOcspResponder };

// What a kind of certificate is made of. Validity in seconds, back-dated by one minute against slow clocks.
struct Profile {
  std::string name;
  Usage usage = Usage::kServer;
  std::int64_t validity_seconds = 90 * 86400;
  std::vector<NameKind> name_kinds{NameKind::kDns, NameKind::kIp};
  // RFC 7633: TLS clients take it with an OCSP answer alone.
  bool must_staple = false;
};
inline constexpr std::int64_t kBackdateSeconds = 60;
// What an issuing key signs to show that it can; the time follows.
inline constexpr std::string_view kSelfCheck = "Evercert self-check of an issuing key, which certifies nothing: ";

// Everything about an issuer that its certificates repeat.
// Several URLs of a list are the same thing at several places: whoever finds one dead tries the next.
struct Issuer {
  std::string certificate_der;
  std::vector<std::string> ocsp_urls, ca_issuers_urls, crl_urls;  // all empty: the extension is left out
};

struct CertificateRequest {
  std::string serial;  // 16 bytes
  std::int64_t not_before = 0, not_after = 0;
  std::string common_name;  // empty: the subject is empty and the SAN critical
  std::vector<Name> names;
  const PublicKey* key = nullptr;
};

// To-be-signed bytes that have passed the lints: the only thing that is ever signed. Used up by signing.
class LintedTbs {
 public:
  LintedTbs(LintedTbs&&) = default;
  LintedTbs& operator=(LintedTbs&&) = default;
  const std::string& tbs() const { return tbs_; }

 private:
  friend class CertificateFactory;
  explicit LintedTbs(std::string tbs) : tbs_(std::move(tbs)) {}
  std::string tbs_;
};

// Makes the certificates of one issuer. Thread-safe.
class CertificateFactory {
 public:
  // kInvalid: the issuer's certificate does not parse or does not belong to `signer`.
  static Result<std::unique_ptr<CertificateFactory>> create(Issuer issuer, std::shared_ptr<Signer> signer);
  // Prepares and lints. kInvalid: a lint failed; its name and finding are in the message.
  Result<LintedTbs> prepare(const Profile& profile, const CertificateRequest& request) const;
  // DER. kUnavailable: the key cannot be used now.
  Result<std::string> sign(LintedTbs tbs) const;
  // Whether the issuing key signs, tried: signs kSelfCheck with the time, and checks that with the public key of the
  // issuer's certificate. No such signature can be that of a certificate, a CRL, an OCSP answer or a request: all these
  // begin as DER does. It is kept nowhere. kUnavailable: the key cannot be used now, or what it gives is not its
  // signature.
  Status try_key(std::int64_t now) const;
  const Issuer& issuer() const { return issuer_; }

 private:
  CertificateFactory() = default;
  std::string fixed_extensions(Usage usage, KeyKind kind) const;

  Issuer issuer_;
  std::shared_ptr<Signer> signer_;
  std::string issuer_name_der_, authority_key_id_;
  std::map<std::pair<Usage, KeyKind>, std::string> fixed_;  // prepared extensions
};

// A self-signed root, 20 years.
Result<std::string> make_root(std::string_view common_name, const std::string& serial, std::int64_t now,
                              const Signer& signer);

struct CertificateFacts {
  std::string serial;  // big-endian, no leading zeros
  std::string subject_cn, issuer_name_der, subject_name_der;
  std::int64_t not_before = 0, not_after = 0;
  std::vector<Name> names;
  std::string spki_der;
  std::string subject_key_id, authority_key_id;
  bool is_ca = false;
  bool must_staple = false;  // RFC 7633: not to be served without an OCSP answer
};
Result<CertificateFacts> read_certificate(std::string_view der);
// Checks leaf -> intermediates -> root at `now`. kInvalid with the reason.
Status verify_chain(std::string_view leaf, const std::vector<std::string>& intermediates, std::string_view root,
                    std::int64_t now);

}  // namespace evercert::pki
