// SPDX-License-Identifier: Apache-2.0
// Faults at set times, as a scenario file lists them.
#pragma once

#include <optional>
#include <vector>

#include "sim/faults.h"

namespace evercert::sim {

struct PlannedFault {
  enum class Kind { kKill, kWipe, kTear, kSlowDisk, kIsolate, kCut } kind{};
  Duration at{};  // after the start of the run
  Duration lasting = 3s;
  std::optional<Duration> every;  // again and again, until `until`
  Duration until{};
  RegionId region;                   // kCut: from here
  std::optional<std::uint8_t> zone;  // this node of the region alone
  RegionId to;                       // kCut
  Duration by{};                     // kSlowDisk
};

class Plan {
 public:
  Plan(World& world, Faults& faults, std::vector<PlannedFault> faults_at)
      : world_(world), faults_(faults), planned_(std::move(faults_at)) {}
  void start();
  void stop() { running_ = false; }

 private:
  void strike(const PlannedFault& fault);
  void lose_disk(NodeId node, Duration lasting);

  World& world_;
  Faults& faults_;
  std::vector<PlannedFault> planned_;
  bool running_ = true;
};

}  // namespace evercert::sim
