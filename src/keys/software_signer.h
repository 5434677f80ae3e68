// SPDX-License-Identifier: Apache-2.0
// Keys in this process's memory, from PEM.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pki/names.h"
#include "pki/public_key.h"
#include "pki/signer.h"

namespace evercert::keys {

// A new private key as PEM (PKCS #8). kind: P-256, P-384, Ed25519, RSA with `rsa_bits`.
Result<std::string> generate_key_pem(pki::KeyKind kind, int rsa_bits = 2048);
// kInvalid: not a private key that is supported.
Result<std::shared_ptr<pki::Signer>> software_signer(const std::string& private_key_pem);
// A CSR for `names` (first DNS name as CN), signed by the key. For tests, tools and load.
Result<std::string> make_csr_pem(const std::string& private_key_pem, const std::vector<pki::Name>& names);

}  // namespace evercert::keys
