// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/alpn_proof.h"

#include <openssl/pem.h>

#include "keys/software_signer.h"
#include "pki/names.h"
#include "pki/openssl.h"
#include "pki/pem.h"

namespace evercert::traffic {
namespace {

constexpr const char* kAcmeIdentifier = "1.3.6.1.5.5.7.1.31";
constexpr std::size_t kDigestBytes = 32;
constexpr std::int64_t kHour = 3600;

bool add_name(X509* to, const std::string& name) {
  const pki::GeneralNamesPtr names(sk_GENERAL_NAME_new_null());
  pki::Owned<GENERAL_NAME, GENERAL_NAME_free> one(GENERAL_NAME_new());
  pki::Owned<ASN1_IA5STRING, ASN1_IA5STRING_free> text(ASN1_IA5STRING_new());
  if (!names || !one || !text || ASN1_STRING_set(text.get(), name.data(), static_cast<int>(name.size())) != 1)
    return false;
  GENERAL_NAME_set0_value(one.get(), GEN_DNS, text.release());
  if (sk_GENERAL_NAME_push(names.get(), one.get()) == 0) return false;
  one.release();
  return X509_add1_ext_i2d(to, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

bool add_identifier(X509* to, std::string_view digest) {
  const pki::Owned<ASN1_OBJECT, ASN1_OBJECT_free> type(OBJ_txt2obj(kAcmeIdentifier, 1));
  const pki::Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> inner(ASN1_OCTET_STRING_new());
  const pki::Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> outer(ASN1_OCTET_STRING_new());
  if (!type || !inner || !outer ||
      ASN1_OCTET_STRING_set(inner.get(), pki::bytes(digest), static_cast<int>(digest.size())) != 1)
    return false;
  const std::string der = pki::to_der(inner.get(), i2d_ASN1_OCTET_STRING);
  if (ASN1_OCTET_STRING_set(outer.get(), pki::bytes(der), static_cast<int>(der.size())) != 1) return false;
  const pki::ExtPtr extension(X509_EXTENSION_create_by_OBJ(nullptr, type.get(), 1, outer.get()));
  return extension && X509_add_ext(to, extension.get(), -1) == 1;
}

}  // namespace

Result<std::string> make_alpn_proof(const std::string& name, std::string_view digest, WallTime now) {
  EC_TRY(pki::check_name({pki::NameKind::kDns, name}));
  if (name.starts_with("*.")) return fail(Code::kInvalid, "a wildcard is not proved by tls-alpn-01");
  if (digest.size() != kDigestBytes) return fail(Code::kInvalid, "a digest of SHA-256 has 32 bytes");
  EC_ASSIGN(const auto key_pem, keys::generate_key_pem(pki::KeyKind::kP256));
  const pki::BioPtr in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const pki::PkeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  const pki::X509Ptr made(X509_new());
  const bool whole = key && made && X509_set_version(made.get(), X509_VERSION_3) == 1 &&
                     ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1) == 1 &&
                     ASN1_TIME_set(X509_getm_notBefore(made.get()), now.seconds() - kHour) != nullptr &&
                     ASN1_TIME_set(X509_getm_notAfter(made.get()), now.seconds() + kHour) != nullptr &&
                     X509_set_pubkey(made.get(), key.get()) == 1 && add_name(made.get(), name) &&
                     add_identifier(made.get(), digest) && X509_sign(made.get(), key.get(), EVP_sha256()) > 0;
  if (!whole) return fail(Code::kInternal, "no certificate for tls-alpn-01: " + pki::last_openssl_error());
  return key_pem + pki::to_pem("CERTIFICATE", pki::to_der(made.get(), i2d_X509));
}

}  // namespace evercert::traffic
