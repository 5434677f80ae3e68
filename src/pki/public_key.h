// SPDX-License-Identifier: Apache-2.0
// Public keys of subjects and accounts: which are accepted, and how signatures by them are checked.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct X509_algor_st;
struct asn1_string_st;
struct evp_pkey_st;

namespace evercert::pki {

enum class KeyKind { kP256, kP384, kRsa, kEd25519 };
// JWS names (RFC 7518, RFC 8037).
enum class SignatureAlgorithm { kEs256, kEs384, kRs256, kEdDsa };

class PublicKey {
 public:
  // kInvalid: does not parse; kUnsupported: another kind of key, or too weak (see weak_keys.h): the message says why.
  static Result<PublicKey> from_spki(std::string_view spki_der);
  // Big-endian coordinates of JSON Web Keys (RFC 7518 section 6).
  static Result<PublicKey> from_ec(KeyKind kind, std::string_view x, std::string_view y);
  static Result<PublicKey> from_rsa(std::string_view n, std::string_view e);
  static Result<PublicKey> from_ed25519(std::string_view x);

  KeyKind kind() const { return kind_; }
  int bits() const { return bits_; }
  const std::string& spki_der() const { return spki_; }
  // SHA-1 of the key bits: subjectKeyIdentifier by RFC 5280 section 4.2.1.2 method 1, also OCSP's key hash.
  std::string key_identifier() const;
  // JWS signatures: ECDSA as r || s. False when the signature is wrong or the algorithm does not fit the key.
  bool verify_jws(SignatureAlgorithm algorithm, std::string_view data, std::string_view signature) const;
  // Signatures over DER by the algorithm that is named beside them (X.509 and PKCS #10).
  bool verify_item(const X509_algor_st* algorithm, const asn1_string_st* signature, std::string_view der) const;
  // X.509 signatures by this key (DER), hash by kind.
  bool verify_x509(std::string_view data, std::string_view signature) const;

 private:
  struct Handle;
  struct Curve;
  static const Curve& curve(KeyKind kind);
  static Result<PublicKey> from_point(const Curve& curve, std::string_view point);
  static Result<PublicKey> from_handle(std::shared_ptr<Handle> handle);
  evp_pkey_st* openssl_key() const;
  KeyKind kind_{};
  int bits_ = 0;
  std::string spki_;
  std::shared_ptr<Handle> handle_;  // none: a point of a known curve
};

}  // namespace evercert::pki
