// SPDX-License-Identifier: Apache-2.0
// Keys in a PKCS #11 token (HSM; SoftHSM2 in the demo). The module is loaded once per process.
#pragma once

#include <memory>
#include <string>

#include "pki/crl.h"
#include "pki/public_key.h"
#include "pki/signer.h"

namespace evercert::keys {

class Pkcs11Token {
 public:
  virtual ~Pkcs11Token() = default;
  // Finds or fails: a private key by its label. kNotFound, kUnavailable.
  virtual Result<std::shared_ptr<pki::Signer>> signer(const std::string& label) = 0;
  // Makes a key pair in the token; it never leaves it. P-256, P-384 or RSA. kConflict: the label is taken.
  virtual Status generate(const std::string& label, pki::KeyKind kind, int rsa_bits = 2048) = 0;
  // The same, but for its standby (standby.h), which is wrapped in the token and given back before the key is closed
  // for good. kUnavailable: the token does not wrap so; no key is left.
  virtual Result<std::string> generate_with_standby(const std::string& label, pki::KeyKind kind,
                                                    const std::string& wrapping_key) = 0;
  // Opens the standby of the key `spki_der` in the token: as long as what is returned lives, and never to be read.
  // kDenied: another wrapping key, or the standby was changed.
  virtual Result<std::shared_ptr<const pki::CrlSigner>> open_standby(const std::string& wrapped,
                                                                     const std::string& wrapping_key,
                                                                     const std::string& spki_der) = 0;
};

// Opens the token `token_label` of the module at `module_path` and logs in. kNotFound: no such token; kDenied: wrong
// PIN; kUnavailable: the module does not load.
Result<std::shared_ptr<Pkcs11Token>> open_token(const std::string& module_path, const std::string& token_label,
                                                const std::string& pin);
// Initialises a free slot as a token (SoftHSM2 always has one). kConflict: a token with this label exists.
Status create_token(const std::string& module_path, const std::string& token_label, const std::string& pin);

}  // namespace evercert::keys
