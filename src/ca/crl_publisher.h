// SPDX-License-Identifier: Apache-2.0
// Keeps an issuer's CRL published wherever its activation (store/standby_duty.h) names this node's region: at the
// start, every interval, and soon after a revocation. Its number comes from the global group, so it grows whatever
// happens; it is stored in the issuer's home group, so every region serves it.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/task_scope.h"
#include "ca/crl_key.h"
#include "store/store.h"

namespace evercert::ca {

struct CrlOptions {
  RegionId region;   // the issuer
  std::string name;  // of that region, for the log
  NodeId self;
  std::int64_t interval_seconds = 3600, validity_seconds = 86400;
  Duration after_revocation = 1s;  // many revocations at once share one list
  Duration submit_timeout = 8s;
};

class CrlPublisher {
 public:
  CrlPublisher(CrlOptions options, std::string issuer_certificate_der, std::shared_ptr<CrlKey> key, store::Store& store,
               WallClock& wall, Executor& executor);
  // Looks whether a list is due, every second from now on. The thread of `executor` ends before the publisher goes, or
  // is the one that lets it go.
  void start();
  // Makes and stores a list now. The number that was published. kUnavailable: it is not for this region to sign it.
  Task<Result<std::uint64_t>> publish();

 private:
  struct Right {
    store::Activation activation;
    Epoch epoch;  // that this node sees
  };
  // What this region signs under now.
  Result<Right> right() const;
  bool is_ours() const { return region_of(options_.self) == options_.region; }
  bool duty() const;  // one node of the region publishes: the leader of the issuer's home group, or its first node
  bool due(const store::Activation& activation);
  void check();
  void note(const Result<Right>& now);

  CrlOptions options_;
  std::string issuer_certificate_der_;
  std::shared_ptr<CrlKey> key_;
  store::Store& store_;
  WallClock& wall_;
  Executor& executor_;
  std::atomic<bool> revoked_since_{false};
  bool running_ = false;
  int failures_ = 0;                   // in a row
  int skipped_ = 0;                    // looks since the last attempt
  std::uint64_t stands_in_since_ = 0;  // the epoch of the activation; 0: it does not
  TaskScope publishing_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace evercert::ca
