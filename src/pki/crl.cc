// SPDX-License-Identifier: Apache-2.0
#include "pki/crl.h"

#include <array>
#include <ctime>

#include "pki/certificate.h"
#include "pki/der.h"
#include "pki/openssl.h"

namespace evercert::pki {
namespace {

struct Reason {
  int code;
  std::string_view name;
};
constexpr std::array<Reason, 6> kReasons{{{0, "unspecified"},
                                          {1, "keyCompromise"},
                                          {3, "affiliationChanged"},
                                          {4, "superseded"},
                                          {5, "cessationOfOperation"},
                                          {9, "privilegeWithdrawn"}}};

std::string extension(int nid, void* value) {
  const ExtPtr made(X509V3_EXT_i2d(nid, 0, value));
  return to_der(made.get(), i2d_X509_EXTENSION);
}

std::string entry_der(const CrlEntry& entry) {
  std::string content = der::integer(entry.serial) + der::time(entry.revoked_at);
  if (entry.reason != 0) {  // RFC 5280 section 5.3.1: unspecified is said by leaving it out
    const Owned<ASN1_ENUMERATED, ASN1_ENUMERATED_free> code(ASN1_ENUMERATED_new());
    ASN1_ENUMERATED_set(code.get(), entry.reason);
    content += der::wrap(der::kSequence, extension(NID_crl_reason, code.get()));
  }
  return der::wrap(der::kSequence, content);
}

class CrlsOnly : public CrlSigner {
 public:
  explicit CrlsOnly(std::shared_ptr<const Signer> key) : key_(std::move(key)) {}
  Result<std::string> sign_crl(const UnsignedCrl& crl) const override { return key_->sign(crl.tbs()); }
  const std::string& spki_der() const override { return key_->spki_der(); }
  const std::string& algorithm_der() const override { return key_->algorithm_der(); }

 private:
  std::shared_ptr<const Signer> key_;
};

}  // namespace

std::shared_ptr<const CrlSigner> crl_signer(std::shared_ptr<const Signer> key) {
  return std::make_shared<CrlsOnly>(std::move(key));
}

Result<std::string> make_crl(std::string_view issuer_certificate_der, const CrlSigner& signer, std::uint64_t number,
                             std::int64_t this_update, std::int64_t next_update, const std::vector<CrlEntry>& entries) {
  EC_ASSIGN(const auto issuer, read_certificate(issuer_certificate_der));
  if (issuer.spki_der != signer.spki_der())
    return fail(Code::kInvalid, "the CRL's issuer and key do not belong together");
  std::string content = der::integer("\x01") + signer.algorithm_der() + issuer.subject_name_der +
                        der::time(this_update) + der::time(next_update);
  std::string revoked;
  for (const auto& entry : entries) revoked += entry_der(entry);
  if (!entries.empty()) content += der::wrap(der::kSequence, revoked);  // absent when empty (section 5.1.2.6)
  const Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> authority(AUTHORITY_KEYID_new());
  authority->keyid = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(authority->keyid, bytes(issuer.subject_key_id), static_cast<int>(issuer.subject_key_id.size()));
  const Owned<ASN1_INTEGER, ASN1_INTEGER_free> crl_number(ASN1_INTEGER_new());
  ASN1_INTEGER_set_uint64(crl_number.get(), number);
  content +=
      der::wrap(der::context(0), der::wrap(der::kSequence, extension(NID_authority_key_identifier, authority.get()) +
                                                               extension(NID_crl_number, crl_number.get())));
  const UnsignedCrl crl(der::wrap(der::kSequence, content));
  EC_ASSIGN(const auto signature, signer.sign_crl(crl));
  return der::wrap(der::kSequence, crl.tbs() + signer.algorithm_der() + der::bit_string(signature));
}

Result<CrlFacts> read_crl(std::string_view der, std::string_view issuer_certificate_der) {
  const unsigned char* at = bytes(der);
  const CrlPtr crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
  const unsigned char* issuer_at = bytes(issuer_certificate_der);
  const X509Ptr issuer(d2i_X509(nullptr, &issuer_at, static_cast<long>(issuer_certificate_der.size())));
  if (!crl || !issuer) return fail(Code::kInvalid, "the CRL does not parse: " + last_openssl_error());
  if (X509_CRL_verify(crl.get(), X509_get0_pubkey(issuer.get())) != 1) {
    ERR_clear_error();
    return fail(Code::kInvalid, "the CRL is not signed by this issuer");
  }
  CrlFacts facts;
  const Owned<ASN1_INTEGER, ASN1_INTEGER_free> number(
      static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(crl.get(), NID_crl_number, nullptr, nullptr)));
  if (number) ASN1_INTEGER_get_uint64(&facts.number, number.get());
  facts.this_update = seconds_of(X509_CRL_get0_lastUpdate(crl.get()));
  facts.next_update = seconds_of(X509_CRL_get0_nextUpdate(crl.get()));
  STACK_OF(X509_REVOKED)* revoked = X509_CRL_get_REVOKED(crl.get());
  for (int i = 0; i < sk_X509_REVOKED_num(revoked); ++i) {
    const X509_REVOKED* one = sk_X509_REVOKED_value(revoked, i);
    const ASN1_INTEGER* serial = X509_REVOKED_get0_serialNumber(one);
    CrlEntry entry;
    entry.serial.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
                        static_cast<std::size_t>(ASN1_STRING_length(serial)));
    entry.revoked_at = seconds_of(X509_REVOKED_get0_revocationDate(one));
    const Owned<ASN1_ENUMERATED, ASN1_ENUMERATED_free> reason(
        static_cast<ASN1_ENUMERATED*>(X509_REVOKED_get_ext_d2i(one, NID_crl_reason, nullptr, nullptr)));
    if (reason) entry.reason = static_cast<int>(ASN1_ENUMERATED_get(reason.get()));
    facts.entries.push_back(std::move(entry));
  }
  ERR_clear_error();
  return facts;
}

Result<int> reason_from_name(std::string_view name) {
  std::string known;
  for (const auto& reason : kReasons) {
    if (reason.name == name) return reason.code;
    known += (known.empty() ? "" : ", ") + std::string(reason.name);
  }
  return fail(Code::kInvalid,
              "unknown or unfitting revocation reason '" + std::string(name.substr(0, 64)) + "'; use one of " + known);
}

std::string_view reason_name(int code) {
  for (const auto& reason : kReasons) {
    if (reason.code == code) return reason.name;
  }
  return "unspecified";
}

bool reason_accepted(int code) {
  for (const auto& reason : kReasons) {
    if (reason.code == code) return true;
  }
  return false;
}

}  // namespace evercert::pki
