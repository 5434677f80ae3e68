// SPDX-License-Identifier: Apache-2.0
// How long an incident took: from when it began, by the evidence, to when it was detected, to when the traffic was led
// away, to when it was over. And the sums over all that a controller has seen. Pure; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "recovery/failover/model.h"

namespace evercert::recovery {

// Since its beginning; nullopt: it has not come to that, or never will (no traffic is moved for a partition).
struct IncidentTimes {
  std::optional<Duration> detected, relieved, over;
};
// An incident that a person ordered was never detected: it begins with the order.
IncidentTimes times_of(const Incident& incident);

class TimesTaken {
 public:
  enum class Part : std::uint8_t { kDetection, kRelief, kRecovery };
  static constexpr std::size_t kParts = 3;

  // All incidents that the controller knows. What the first look finds was counted by an earlier controller.
  void look(const std::vector<Incident>& incidents);
  // A new time in office.
  void begin() { seeded_ = false; }

  struct Sum {
    std::uint64_t count = 0;
    Duration took{0};
  };
  Sum sum(Part part) const { return sums_[static_cast<std::size_t>(part)]; }

 private:
  bool seeded_ = false;
  std::map<std::uint64_t, std::array<bool, kParts>> counted_;  // by incident
  std::array<Sum, kParts> sums_;
};

}  // namespace evercert::recovery
