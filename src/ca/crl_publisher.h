// SPDX-License-Identifier: Apache-2.0
// Keeps this region's CRL published: at the start, every interval, and soon after a revocation. Its number comes from
// the global group, so it grows whatever happens; it is stored in the region's home group, so every region serves it.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/task_scope.h"
#include "pki/crl.h"
#include "store/store.h"

namespace evercert::ca {

struct CrlOptions {
  RegionId region;
  NodeId self;
  std::int64_t interval_seconds = 3600, validity_seconds = 86400;
  Duration after_revocation = 1s;  // many revocations at once share one list
  Duration submit_timeout = 8s;
};

class CrlPublisher {
 public:
  CrlPublisher(CrlOptions options, std::string issuer_certificate_der, std::shared_ptr<pki::Signer> signer,
               store::Store& store, WallClock& wall, Executor& executor);
  // Looks whether a list is due, every second from now on. The thread of `executor` ends before the publisher goes, or
  // is the one that lets it go.
  void start();
  // Makes and stores a list now. The number that was published.
  Task<Result<std::uint64_t>> publish();

 private:
  bool duty() const;  // one node of the region publishes: the leader of its home group, or its first node
  bool due();
  void check();

  CrlOptions options_;
  std::string issuer_certificate_der_;
  std::shared_ptr<pki::Signer> signer_;
  store::Store& store_;
  WallClock& wall_;
  Executor& executor_;
  std::atomic<bool> revoked_since_{false};
  bool running_ = false;
  TaskScope publishing_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace evercert::ca
