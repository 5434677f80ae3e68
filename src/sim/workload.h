// SPDX-License-Identifier: Apache-2.0
// Clients: they issue, revoke and read through any node, and remember what they were told.
#pragma once

#include <string>
#include <vector>

#include "sim/checkers.h"
#include "sim/world.h"

namespace evercert::sim {

struct WorkloadOptions {
  std::uint32_t clients = 1;  // each does one thing after another, and waits for no answer
  Duration pause_min = 5ms, pause_max = 60ms;
  double writes = 0.4;
  double revocations = 0.4;  // of writes, once there is something to revoke
  double abroad = 0.2;       // of issuances, in another region's group, as for an order begun elsewhere
  std::uint32_t recent = 6;  // reads choose among so many of the latest certificates
};

class Workload {
 public:
  Workload(World& world, Checkers& checkers, SeededRandom& random, WorkloadOptions options);
  void start();
  void stop() { running_ = false; }

  std::uint64_t issued() const { return issued_; }
  std::uint64_t revoked() const { return revoked_; }
  std::uint64_t fresh_reads() const { return fresh_reads_; }
  std::uint64_t stale_reads() const { return stale_reads_; }

 private:
  void step();
  void issue(NodeId through);
  void revoke(NodeId through);
  void read(NodeId through);

  World& world_;
  Checkers& checkers_;
  SeededRandom& random_;
  WorkloadOptions options_;
  bool running_ = true;
  std::uint64_t last_serial_ = 0;
  std::vector<std::string> known_;  // acknowledged serials
  std::uint64_t issued_ = 0, revoked_ = 0, fresh_reads_ = 0, stale_reads_ = 0;
};

}  // namespace evercert::sim
