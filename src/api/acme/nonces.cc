// SPDX-License-Identifier: Apache-2.0
#include "api/acme/nonces.h"

#include <openssl/hmac.h>

#include "base/encoding.h"

namespace evercert::api {
namespace {
constexpr std::int64_t kLifeSeconds = 3600;
}

std::string Nonces::mac(const std::string& text) const {
  unsigned char out[32];
  unsigned int n = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out, &n);
  return {reinterpret_cast<char*>(out), 16};
}

std::string Nonces::make() {
  const auto now = static_cast<std::uint32_t>(wall_.now().seconds());
  std::string text(reinterpret_cast<const char*>(&now), sizeof now);
  text += random_.bytes(12);
  return to_base64url(text + mac(text));
}

bool Nonces::use(const std::string& nonce) {
  const auto raw = from_base64url(nonce);
  if (!raw || raw->size() != 32) return false;
  const std::string text = raw->substr(0, 16);
  if (CRYPTO_memcmp(mac(text).data(), raw->data() + 16, 16) != 0) return false;
  std::uint32_t made = 0;
  __builtin_memcpy(&made, text.data(), sizeof made);
  const std::int64_t age = wall_.now().seconds() - made;
  if (age > kLifeSeconds || age < -60) return false;
  std::lock_guard lock(mutex_);
  if (clock_.now() - turned_ > std::chrono::seconds(kLifeSeconds)) {
    older_ = std::move(used_);
    used_.clear();
    turned_ = clock_.now();
  }
  return !older_.contains(text) && used_.insert(text).second;
}

}  // namespace evercert::api
