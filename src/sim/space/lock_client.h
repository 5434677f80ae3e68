// SPDX-License-Identifier: Apache-2.0
// One who takes a lock again and again as etcd's clients do: lease, key, wait until it is the first. Sometimes it dies
// with the lock in its hands.
#pragma once

#include <memory>
#include <string>

#include "sim/seeded_random.h"
#include "sim/space/space_checker.h"
#include "sim/space/space_nodes.h"

namespace evercert::sim {

class LockClient {
 public:
  LockClient(int number, std::string lock, World& world, SpaceNodes& nodes, SpaceChecker& checker, SeededRandom& random)
      : number_(number), lock_(std::move(lock)), world_(world), nodes_(nodes), checker_(checker), random_(random) {}
  void start() { begin(); }
  void stop() { running_ = false; }

 private:
  NodeId somewhere();
  void begin();
  void contend();
  void look();
  void renew_in_time();
  void renew();
  void acquired();
  void release();
  void lose();
  std::string key() const { return lock_ + "/" + std::to_string(lease_); }
  // Runs `work` if this attempt still goes on.
  void later(Duration delay, std::function<void()> work);

  int number_;
  std::string lock_;
  World& world_;
  SpaceNodes& nodes_;
  SpaceChecker& checker_;
  SeededRandom& random_;
  bool running_ = true;
  std::uint64_t attempt_ = 0;
  std::int64_t lease_ = 0, token_ = 0;
  Instant counts_on_;  // until then the lease cannot have ended: from when its last renewal was sent
  bool holds_ = false, renewing_ = false;
  // Where it asks for its place.
  NodeId asked_;
  std::shared_ptr<coordination::LockTable> table_;
  std::unique_ptr<coordination::LockTable::Contender> contender_;
};

}  // namespace evercert::sim
