// SPDX-License-Identifier: Apache-2.0
// The standby of an issuing key: the key, wrapped (RFC 5649, AES-256, of its PKCS #8 form) by a wrapping key that no
// region has alone. Opened, it signs CRLs and nothing else. In tokens: Pkcs11Token (pkcs11.h), the same form.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "pki/crl.h"

namespace evercert::keys {

inline constexpr std::size_t kWrappingKeyBytes = 32;

// Of a key in a file. kInvalid: not a private key, or not a wrapping key.
Result<std::string> wrap_key(const std::string& private_key_pem, const std::string& wrapping_key);
// kDenied: it is another wrapping key, or the standby was changed. Its integrity is checked as it is opened.
Result<std::shared_ptr<const pki::CrlSigner>> open_standby(const std::string& wrapped, const std::string& wrapping_key);

}  // namespace evercert::keys
