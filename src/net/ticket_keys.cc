// SPDX-License-Identifier: Apache-2.0
#include "net/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/check.h"

namespace evercert::net {
namespace {

struct FreeKdf {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

// HKDF-SHA-256 (RFC 5869): nothing follows from one period's key about another's.
TicketKey derive(const std::string& secret, std::int64_t period) {
  const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf.get()));
  std::string info = "evercert session tickets " + std::to_string(period);
  std::string digest = "SHA256", input = secret;
  const std::array<OSSL_PARAM, 4> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), digest.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, input.data(), input.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()), OSSL_PARAM_construct_end()};
  std::array<unsigned char, 80> bytes;
  EC_CHECK(context != nullptr && EVP_KDF_derive(context.get(), bytes.data(), bytes.size(), parameters.data()) == 1,
           "a key for session tickets");
  TicketKey key;
  std::copy_n(bytes.begin(), 16, key.name.begin());
  std::copy_n(bytes.begin() + 16, 32, key.cipher.begin());
  std::copy_n(bytes.begin() + 48, 32, key.mac.begin());
  return key;
}

}  // namespace

void TicketKeys::change(std::string secret) {
  std::lock_guard lock(mutex_);
  if (secret == secrets_.front()) return;
  secrets_.insert(secrets_.begin(), std::move(secret));
  if (secrets_.size() > 2) secrets_.pop_back();
  made_for_ = -1;
}

// Keys are made anew when a period begins, or its neighbour comes within the skew.
void TicketKeys::make(WallTime now) {
  const std::int64_t seconds = now.seconds(), part = seconds / kSkewSeconds;
  if (made_for_ == part) return;
  made_for_ = part;
  made_.clear();
  const std::int64_t period = seconds / kPeriodSeconds;
  for (const auto& secret : secrets_) {
    made_.push_back({period, derive(secret, period)});
    made_.push_back({period - 1, derive(secret, period - 1)});
    if ((seconds + kSkewSeconds) / kPeriodSeconds > period) made_.push_back({period + 1, derive(secret, period + 1)});
  }
}

TicketKey TicketKeys::newest(WallTime now) {
  std::lock_guard lock(mutex_);
  make(now);
  return made_.front().key;
}

std::optional<TicketKeys::Found> TicketKeys::find(std::string_view name, WallTime now) {
  std::lock_guard lock(mutex_);
  make(now);
  for (std::size_t i = 0; i < made_.size(); ++i) {
    const auto& key = made_[i].key;
    if (name.size() == key.name.size() && std::memcmp(name.data(), key.name.data(), name.size()) == 0)
      return Found{key, i == 0};
  }
  return std::nullopt;
}

}  // namespace evercert::net
