// SPDX-License-Identifier: Apache-2.0
// AlgorithmIdentifiers by kind of key (RFC 5758, RFC 4055, RFC 8410). For .cc files only.
#pragma once

#include "pki/openssl.h"
#include "pki/public_key.h"

namespace evercert::keys {

inline const EVP_MD* hash_of(pki::KeyKind kind) {
  switch (kind) {
    case pki::KeyKind::kP384: return EVP_sha384();
    case pki::KeyKind::kEd25519: return nullptr;
    default: return EVP_sha256();
  }
}

inline std::string algorithm_der(pki::KeyKind kind) {
  const int nid = kind == pki::KeyKind::kP256   ? NID_ecdsa_with_SHA256
                  : kind == pki::KeyKind::kP384 ? NID_ecdsa_with_SHA384
                  : kind == pki::KeyKind::kRsa  ? NID_sha256WithRSAEncryption
                                                : NID_ED25519;
  const pki::AlgorPtr algorithm(X509_ALGOR_new());
  X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(nid), kind == pki::KeyKind::kRsa ? V_ASN1_NULL : V_ASN1_UNDEF, nullptr);
  return pki::to_der(algorithm.get(), i2d_X509_ALGOR);
}

}  // namespace evercert::keys
