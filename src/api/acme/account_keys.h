// SPDX-License-Identifier: Apache-2.0
// Parsed keys of accounts, by thumbprint: to make a key of its JWK costs a good part of what it costs to check a
// signature with it, and clients come back with the same one.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "api/acme/jws.h"
#include "store/proto/records.pb.h"

namespace evercert::api {

class AccountKeys {
 public:
  // The account's key. serverInternal: the stored JWK does not parse. Thread-safe.
  AcmeResult<pki::PublicKey> key_of(const store::v1::Account& account);

 private:
  static constexpr std::size_t kGeneration = 2000;
  std::mutex mutex_;
  // Two generations, so that what is in use stays and memory is bounded.
  std::unordered_map<std::string, pki::PublicKey> recent_, older_;
};

}  // namespace evercert::api
