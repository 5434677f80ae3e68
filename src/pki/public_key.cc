// SPDX-License-Identifier: Apache-2.0
#include "pki/public_key.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "base/encoding.h"
#include "pki/asn1_views.h"
#include "pki/bridge.h"
#include "pki/der.h"
#include "pki/openssl.h"
#include "pki/weak_keys.h"

namespace evercert::pki {

struct PublicKey::Handle {
  PkeyPtr key;
};

namespace {

std::string number(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return {};
  const BnPtr value(raw);
  std::string out(static_cast<std::size_t>(BN_num_bytes(value.get())), '\0');
  BN_bn2bin(value.get(), reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

bool verify(EVP_PKEY* key, const EVP_MD* hash, std::string_view data, std::string_view signature) {
  const MdCtxPtr ctx(EVP_MD_CTX_new());
  const bool ok = EVP_DigestVerifyInit(ctx.get(), nullptr, hash, nullptr, key) == 1 &&
                  EVP_DigestVerify(ctx.get(), bytes(signature), signature.size(), bytes(data), data.size()) == 1;
  ERR_clear_error();
  return ok;
}

// By AWS-LC, in less time than OpenSSL 3.0 needs. For the curves' own keys alone: `spki` ends in an uncompressed point.
bool verify_ecdsa(bridge::Ecdsa scheme, KeyKind kind, std::string_view spki, std::string_view data,
                  std::string_view signature) {
  const std::size_t point_bytes = kind == KeyKind::kP256 ? 65 : 97;
  return bridge::verify_ecdsa(scheme, octets(spki.substr(spki.size() - point_bytes)), octets(data), octets(signature));
}

Result<PkeyPtr> from_params(const char* type, OSSL_PARAM_BLD* build) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(build));
  const PkeyCtxPtr ctx(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(ctx.get()) != 1 ||
      EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return fail(Code::kInvalid, "the public key is not valid: " + last_openssl_error());
  }
  return PkeyPtr(key);
}

}  // namespace

Result<PublicKey> PublicKey::from_handle(std::shared_ptr<Handle> handle) {
  EVP_PKEY* key = handle->key.get();
  PublicKey out;
  out.bits_ = EVP_PKEY_get_bits(key);
  if (EVP_PKEY_is_a(key, "EC")) {
    char group[64] = {};
    std::size_t length = 0;
    EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &length);
    const std::string_view name(group, length);
    if (name == "prime256v1") out.kind_ = KeyKind::kP256;
    else if (name == "secp384r1") out.kind_ = KeyKind::kP384;
    else return fail(Code::kUnsupported, "the curve '" + std::string(name) + "' is not accepted: use P-256 or P-384");
    const PkeyCtxPtr ctx(EVP_PKEY_CTX_new(key, nullptr));
    if (EVP_PKEY_public_check(ctx.get()) != 1) {
      ERR_clear_error();
      return fail(Code::kUnsupported, "the EC public key is not a point of its curve");
    }
  } else if (EVP_PKEY_is_a(key, "RSA")) {
    out.kind_ = KeyKind::kRsa;
    if (out.bits_ < 2048 || out.bits_ > 4096 || out.bits_ % 8 != 0) {
      return fail(Code::kUnsupported,
                  "an RSA key of " + std::to_string(out.bits_) + " bits is not accepted: use 2048 to 4096");
    }
    EC_TRY(check_rsa_strength(number(key, OSSL_PKEY_PARAM_RSA_N), number(key, OSSL_PKEY_PARAM_RSA_E)));
  } else if (EVP_PKEY_is_a(key, "ED25519")) {
    out.kind_ = KeyKind::kEd25519;
  } else {
    return fail(Code::kUnsupported, "this kind of key is not accepted: use P-256, P-384, RSA 2048 to 4096 or Ed25519");
  }
  out.spki_ = to_der(key, i2d_PUBKEY);
  if (out.spki_.empty()) return fail(Code::kInvalid, "the public key cannot be encoded: " + last_openssl_error());
  out.handle_ = std::move(handle);
  return out;
}

// What all keys of a curve have in common. A key of our own for each would cost three microseconds, and the way through
// OpenSSL's decoders a hundred; so each thread has one, which is given the point at hand.
struct PublicKey::Curve {
  KeyKind kind;
  int bits;
  std::size_t point_bytes;  // 0x04 || x || y
  PkeyPtr any;
  std::string spki_prefix;  // what stands before the point

  // This thread's key, until its next call. nullptr: not on the curve. That is all there is to check: the cofactor is
  // one, and this form cannot say infinity.
  EVP_PKEY* with_point(std::string_view point) const {
    struct Held {
      PkeyPtr key;
      std::string point;
    };
    thread_local Held p256, p384;
    Held& held = kind == KeyKind::kP256 ? p256 : p384;
    if (held.key && held.point == point) return held.key.get();
    held.point.clear();
    if (!held.key) held.key.reset(EVP_PKEY_dup(any.get()));
    const bool taken = held.key && point.size() == point_bytes && point[0] == '\x04' &&
                       EVP_PKEY_set1_encoded_public_key(held.key.get(), bytes(point), point.size()) == 1;
    if (!taken) {
      ERR_clear_error();
      return nullptr;
    }
    held.point = point;
    return held.key.get();
  }
};

const PublicKey::Curve& PublicKey::curve(KeyKind kind) {
  static const auto make = [](KeyKind of, const char* group, int bits, std::size_t point_bytes) {
    const PkeyPtr pair(EVP_EC_gen(group));
    std::string spki = to_der(pair.get(), i2d_PUBKEY);
    const unsigned char* at = bytes(spki);
    PkeyPtr any(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));  // without the private half
    spki.resize(spki.size() - point_bytes);
    return Curve{of, bits, point_bytes, std::move(any), std::move(spki)};
  };
  static const Curve p256 = make(KeyKind::kP256, "P-256", 256, 65), p384 = make(KeyKind::kP384, "P-384", 384, 97);
  return kind == KeyKind::kP256 ? p256 : p384;
}

Result<PublicKey> PublicKey::from_point(const Curve& curve, std::string_view point) {
  if (curve.with_point(point) == nullptr)
    return fail(Code::kUnsupported, "the EC public key is not a point of its curve");
  PublicKey out;
  out.kind_ = curve.kind;
  out.bits_ = curve.bits;
  out.spki_.reserve(curve.spki_prefix.size() + point.size());
  out.spki_.append(curve.spki_prefix).append(point);
  return out;
}

EVP_PKEY* PublicKey::openssl_key() const {
  if (handle_) return handle_->key.get();
  const Curve& known = curve(kind_);
  return known.with_point(std::string_view(spki_).substr(known.spki_prefix.size()));
}

Result<PublicKey> PublicKey::from_spki(std::string_view spki_der) {
  for (const KeyKind kind : {KeyKind::kP256, KeyKind::kP384}) {
    const Curve& known = curve(kind);
    if (spki_der.size() == known.spki_prefix.size() + known.point_bytes && spki_der.starts_with(known.spki_prefix))
      return from_point(known, spki_der.substr(known.spki_prefix.size()));
  }
  const unsigned char* at = bytes(spki_der);
  PkeyPtr key(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki_der.size())));
  if (!key) return fail(Code::kInvalid, "the public key does not parse: " + last_openssl_error());
  return from_handle(std::make_shared<Handle>(std::move(key)));
}

Result<PublicKey> PublicKey::from_ec(KeyKind kind, std::string_view x, std::string_view y) {
  const std::size_t size = kind == KeyKind::kP256 ? 32 : 48;
  if (x.size() != size || y.size() != size) return fail(Code::kInvalid, "an EC coordinate has the wrong length");
  return from_point(curve(kind), std::string(1, '\x04').append(x).append(y));
}

Result<PublicKey> PublicKey::from_rsa(std::string_view n, std::string_view e) {
  if (n.size() > 1024 || e.size() > 64) return fail(Code::kInvalid, "the RSA numbers are too long");
  const BnPtr modulus(BN_bin2bn(bytes(n), static_cast<int>(n.size()), nullptr));
  const BnPtr exponent(BN_bin2bn(bytes(e), static_cast<int>(e.size()), nullptr));
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> build(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  EC_ASSIGN(auto key, from_params("RSA", build.get()));
  return from_handle(std::make_shared<Handle>(std::move(key)));
}

Result<PublicKey> PublicKey::from_ed25519(std::string_view x) {
  PkeyPtr key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(x), x.size()));
  if (!key) return fail(Code::kInvalid, "the Ed25519 key is not valid: " + last_openssl_error());
  return from_handle(std::make_shared<Handle>(std::move(key)));
}

std::string PublicKey::key_identifier() const {
  const bool ec = !handle_;
  if (ec) return sha1(std::string_view(spki_).substr(curve(kind_).spki_prefix.size()));
  const auto spki = parse_spki(spki_);
  return sha1(spki ? contents(spki->bits) : std::string_view{});
}

bool PublicKey::verify_jws(SignatureAlgorithm algorithm, std::string_view data, std::string_view signature) const {
  switch (algorithm) {
    case SignatureAlgorithm::kRs256:
      return kind_ == KeyKind::kRsa && verify(openssl_key(), EVP_sha256(), data, signature);
    case SignatureAlgorithm::kEdDsa:
      return kind_ == KeyKind::kEd25519 && verify(openssl_key(), nullptr, data, signature);
    case SignatureAlgorithm::kEs256:
    case SignatureAlgorithm::kEs384: {
      const bool small = algorithm == SignatureAlgorithm::kEs256;
      const std::size_t size = small ? 32 : 48;
      if (kind_ != (small ? KeyKind::kP256 : KeyKind::kP384) || signature.size() != 2 * size) return false;
      const auto scheme = small ? bridge::Ecdsa::P256Sha256Fixed : bridge::Ecdsa::P384Sha384Fixed;
      if (!handle_) return verify_ecdsa(scheme, kind_, spki_, data, signature);
      const std::string pair =
          der::wrap(der::kSequence, der::integer(signature.substr(0, size)) + der::integer(signature.substr(size)));
      return verify(openssl_key(), small ? EVP_sha256() : EVP_sha384(), data, pair);
    }
  }
  return false;
}

bool PublicKey::verify_item(const X509_algor_st* algorithm, const asn1_string_st* signature,
                            std::string_view der) const {
  const ASN1_OBJECT* name = nullptr;
  X509_ALGOR_get0(&name, nullptr, nullptr, algorithm);
  int hash = NID_undef, key_type = NID_undef;
  const bool ec = kind_ == KeyKind::kP256 || kind_ == KeyKind::kP384;
  if (OBJ_find_sigid_algs(OBJ_obj2nid(name), &hash, &key_type) == 1 && hash != NID_undef &&
      kind_ != KeyKind::kEd25519) {
    // Most often: one hash, one signature. The general way copies and encodes the item first.
    constexpr long kUnusedBits = 7;
    if (key_type != (ec ? NID_X9_62_id_ecPublicKey : NID_rsaEncryption) || (signature->flags & kUnusedBits) != 0)
      return false;
    if (ec && !handle_ && (hash == NID_sha256 || hash == NID_sha384)) {
      const bool short_hash = hash == NID_sha256;
      const auto scheme = kind_ == KeyKind::kP256
                              ? (short_hash ? bridge::Ecdsa::P256Sha256 : bridge::Ecdsa::P256Sha384)
                              : (short_hash ? bridge::Ecdsa::P384Sha256 : bridge::Ecdsa::P384Sha384);
      return verify_ecdsa(scheme, kind_, spki_, der, contents(signature));
    }
    const EVP_MD* digest = EVP_get_digestbynid(hash);
    return digest != nullptr && verify(openssl_key(), digest, der, contents(signature));
  }
  const Owned<ASN1_TYPE, ASN1_TYPE_free> item(ASN1_TYPE_new());
  ASN1_STRING* whole = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
  ASN1_STRING_set(whole, der.data(), static_cast<int>(der.size()));
  ASN1_TYPE_set(item.get(), V_ASN1_SEQUENCE, whole);
  const bool ok = ASN1_item_verify(ASN1_ITEM_rptr(ASN1_ANY), algorithm, signature, item.get(), openssl_key()) == 1;
  ERR_clear_error();
  return ok;
}

bool PublicKey::verify_x509(std::string_view data, std::string_view signature) const {
  const bool p256 = kind_ == KeyKind::kP256, p384 = kind_ == KeyKind::kP384;
  if (!handle_ && (p256 || p384)) {
    const auto scheme = p256 ? bridge::Ecdsa::P256Sha256 : bridge::Ecdsa::P384Sha384;
    return verify_ecdsa(scheme, kind_, spki_, data, signature);
  }
  const EVP_MD* hash = kind_ == KeyKind::kEd25519 ? nullptr : p384 ? EVP_sha384() : EVP_sha256();
  return verify(openssl_key(), hash, data, signature);
}

}  // namespace evercert::pki
