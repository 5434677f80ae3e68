// SPDX-License-Identifier: Apache-2.0
// The key that signs an issuer's CRLs, as far as it is to be had here: the region's own, or the standby of another's.
#pragma once

#include <memory>

#include "base/env.h"
#include "base/task.h"
#include "pki/crl.h"
#include "store/standby_duty.h"

namespace evercert::ca {

class CrlKey {
 public:
  using Opened = Result<std::shared_ptr<const pki::CrlSigner>>;
  virtual ~CrlKey() = default;
  // For signing under `activation`. kUnavailable, kDenied: not now; asked again in a moment.
  virtual Task<Opened> open(Executor& on, store::Activation activation) = 0;
  // It is not needed any more, or did not sign: the next open() begins anew.
  virtual void put_away() = 0;
};

// A key that is always at hand.
class OwnCrlKey : public CrlKey {
 public:
  explicit OwnCrlKey(std::shared_ptr<const pki::CrlSigner> signer) : signer_(std::move(signer)) {}
  Task<Opened> open(Executor&, store::Activation) override { co_return signer_; }
  void put_away() override {}

 private:
  std::shared_ptr<const pki::CrlSigner> signer_;
};

}  // namespace evercert::ca
