// SPDX-License-Identifier: Apache-2.0
#include "api/acme/account_keys.h"

namespace evercert::api {

AcmeResult<pki::PublicKey> AccountKeys::key_of(const store::v1::Account& account) {
  {
    std::lock_guard lock(mutex_);
    if (const auto known = recent_.find(account.thumbprint()); known != recent_.end()) return known->second;
    if (auto known = older_.extract(account.thumbprint())) return recent_.insert(std::move(known)).position->second;
  }
  auto jwk = parse_jwk(account.jwk());
  if (!jwk) return std::unexpected(AcmeError{500, "serverInternal", "the account's key cannot be read"});
  std::lock_guard lock(mutex_);
  if (recent_.size() >= kGeneration) {
    older_ = std::move(recent_);
    recent_.clear();
  }
  recent_.insert_or_assign(account.thumbprint(), jwk->key);
  return std::move(jwk->key);
}

}  // namespace evercert::api
