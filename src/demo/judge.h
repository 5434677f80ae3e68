// SPDX-License-Identifier: Apache-2.0
// Judges what clients of a real cluster saw by the checkers of the simulator: histories of each certificate must be
// linearizable, with the stores of all nodes at the end as its last readers; a CRL of one number is one CRL, and no
// region goes back to an older one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/config.h"
#include "demo/history.h"

namespace evercert::demo {

// One node's own store at the end: status by serial.
struct StoreAtEnd {
  std::string node;
  std::map<std::string, std::string> certificates;
};

struct RegionSummary {
  std::uint64_t operations = 0, failed = 0;
  std::uint64_t reads_failed = 0;       // of those that failed: without an answer, not even "try later"
  double longest_write_gap_ms = 0;      // between writes of the region's clients that went through
  double last_write_before_end_ms = 0;  // from the last such write to the end of the history
};

struct Judged {
  std::vector<RegionSummary> regions;   // as in the configuration
  std::vector<std::string> violations;  // empty: every promise was kept
  std::uint64_t undecided = 0;          // histories too wide for the checker
  std::uint64_t certificates = 0, unknown_outcomes = 0, refused = 0, stale = 0, acme_orders = 0;
};

// `ended`: when the stores were read, after the last operation.
Judged judge(const config::ClusterConfig& config, const std::vector<Operation>& operations,
             const std::vector<StoreAtEnd>& stores, Instant ended);

}  // namespace evercert::demo
