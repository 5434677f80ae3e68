// SPDX-License-Identifier: Apache-2.0
#include "keys/software_signer.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>

#include <array>

#include "keys/algorithms.h"
#include "pki/bridge.h"
#include "pki/names_openssl.h"
#include "pki/pem.h"

namespace evercert::keys {
namespace {

using pki::MdCtxPtr;
using pki::PkeyPtr;

Result<PkeyPtr> read_key(const std::string& pem) {
  const pki::BioPtr in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // No callback for a passphrase: an encrypted key is an error here, not a prompt on somebody's terminal.
  PkeyPtr key(PEM_read_bio_PrivateKey(
      in.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  if (!key) return fail(Code::kInvalid, "no usable private key: " + pki::last_openssl_error());
  return key;
}

// RSA and Ed25519 by OpenSSL.
class SoftwareSigner : public pki::Signer {
 public:
  SoftwareSigner(PkeyPtr key, pki::PublicKey public_key)
      : key_(std::move(key)), public_key_(std::move(public_key)), algorithm_(keys::algorithm_der(public_key_.kind())) {
    // Set up once and copied for each signature: setting up costs more than a copy.
    prepared_.reset(EVP_MD_CTX_new());
    EVP_DigestSignInit(prepared_.get(), nullptr, hash_of(public_key_.kind()), nullptr, key_.get());
  }

  Result<std::string> sign(std::string_view tbs) const override {
    const MdCtxPtr ctx(EVP_MD_CTX_new());
    const bool one_shot = public_key_.kind() == pki::KeyKind::kEd25519;
    const bool ready = one_shot ? EVP_DigestSignInit(ctx.get(), nullptr, nullptr, nullptr, key_.get()) == 1
                                : EVP_MD_CTX_copy_ex(ctx.get(), prepared_.get()) == 1;
    std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())), '\0');
    std::size_t length = signature.size();
    if (!ready || EVP_DigestSign(ctx.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                                 pki::bytes(tbs), tbs.size()) != 1) {
      return fail(Code::kUnavailable, "the key did not sign: " + pki::last_openssl_error());
    }
    signature.resize(length);
    return signature;
  }
  const std::string& spki_der() const override { return public_key_.spki_der(); }
  const std::string& algorithm_der() const override { return algorithm_; }

 private:
  PkeyPtr key_;
  pki::PublicKey public_key_;
  std::string algorithm_;
  MdCtxPtr prepared_;
};

// P-256 and P-384 by AWS-LC, which takes two thirds of the time of OpenSSL 3.0 for the smaller (build/pki_bench).
class EcdsaSigner : public pki::Signer {
 public:
  EcdsaSigner(rust::Box<pki::bridge::EcdsaKey> key, pki::PublicKey public_key)
      : key_(std::move(key)), public_key_(std::move(public_key)), algorithm_(keys::algorithm_der(public_key_.kind())) {}

  Result<std::string> sign(std::string_view tbs) const override {
    const auto signature = key_->sign(pki::octets(tbs));
    if (signature.empty()) return fail(Code::kUnavailable, "the key did not sign");
    return std::string(pki::text(signature));
  }
  const std::string& spki_der() const override { return public_key_.spki_der(); }
  const std::string& algorithm_der() const override { return algorithm_; }

 private:
  rust::Box<pki::bridge::EcdsaKey> key_;
  pki::PublicKey public_key_;
  std::string algorithm_;
};

Result<std::shared_ptr<pki::Signer>> ecdsa_signer(const EVP_PKEY* key, pki::PublicKey public_key) {
  const bool small = public_key.kind() == pki::KeyKind::kP256;
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number);
  const pki::Owned<BIGNUM, BN_clear_free> secret(number);
  std::array<unsigned char, 48> half{};
  std::array<unsigned char, 97> point{};
  const int half_bytes = small ? 32 : 48;
  std::size_t point_bytes = 0;
  if (!secret || BN_bn2binpad(secret.get(), half.data(), half_bytes) != half_bytes ||
      EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &point_bytes) != 1) {
    return fail(Code::kInvalid, "no usable private key: " + pki::last_openssl_error());
  }
  auto pair = pki::bridge::ecdsa_key(small ? pki::bridge::Ecdsa::P256Sha256 : pki::bridge::Ecdsa::P384Sha384,
                                     {half.data(), static_cast<std::size_t>(half_bytes)}, {point.data(), point_bytes});
  OPENSSL_cleanse(half.data(), half.size());
  if (!pair->is_usable()) return fail(Code::kInvalid, "no usable private key: it is not a key pair of its curve");
  return std::shared_ptr<pki::Signer>(std::make_shared<EcdsaSigner>(std::move(pair), std::move(public_key)));
}

}  // namespace

Result<std::string> generate_key_pem(pki::KeyKind kind, int rsa_bits) {
  EVP_PKEY* made = nullptr;
  switch (kind) {
    case pki::KeyKind::kP256: made = EVP_EC_gen("P-256"); break;
    case pki::KeyKind::kP384: made = EVP_EC_gen("P-384"); break;
    case pki::KeyKind::kRsa: made = EVP_RSA_gen(static_cast<unsigned>(rsa_bits)); break;
    case pki::KeyKind::kEd25519: made = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); break;
  }
  const PkeyPtr key(made);
  if (!key) return fail(Code::kInternal, "no key could be made: " + pki::last_openssl_error());
  const pki::BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(length));
}

Result<std::shared_ptr<pki::Signer>> software_signer(const std::string& private_key_pem) {
  EC_ASSIGN(auto key, read_key(private_key_pem));
  EC_ASSIGN(auto public_key, pki::PublicKey::from_spki(pki::to_der(key.get(), i2d_PUBKEY)));
  if (public_key.kind() == pki::KeyKind::kP256 || public_key.kind() == pki::KeyKind::kP384)
    return ecdsa_signer(key.get(), std::move(public_key));
  return std::shared_ptr<pki::Signer>(std::make_shared<SoftwareSigner>(std::move(key), std::move(public_key)));
}

Result<std::string> make_csr_pem(const std::string& private_key_pem, const std::vector<pki::Name>& names) {
  EC_ASSIGN(const auto key, read_key(private_key_pem));
  const pki::ReqPtr request(X509_REQ_new());
  X509_REQ_set_version(request.get(), 0);
  X509_REQ_set_pubkey(request.get(), key.get());
  if (!names.empty() && names.front().kind == pki::NameKind::kDns) {
    X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request.get()), NID_commonName, MBSTRING_UTF8,
                               pki::bytes(names.front().value), static_cast<int>(names.front().value.size()), -1, 0);
  }
  const auto general = pki::to_general_names(names);
  const pki::ExtPtr extension(X509V3_EXT_i2d(NID_subject_alt_name, 0, general.get()));
  STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(list, extension.get());
  X509_REQ_add_extensions(request.get(), list);
  sk_X509_EXTENSION_free(list);
  const bool ed = EVP_PKEY_is_a(key.get(), "ED25519");
  if (X509_REQ_sign(request.get(), key.get(), ed ? nullptr : EVP_sha256()) <= 0) {
    return fail(Code::kInvalid, "the CSR could not be signed: " + pki::last_openssl_error());
  }
  return pki::to_pem("CERTIFICATE REQUEST", pki::to_der(request.get(), i2d_X509_REQ));
}

}  // namespace evercert::keys
