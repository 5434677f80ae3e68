// SPDX-License-Identifier: Apache-2.0
// The replication lag of a whole run, from what nodes count themselves: in each region, of each node and group, the p99
// of all entries that came from the first reading on; the worst of them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "store/lag_meter.h"

namespace evercert::demo {

class LagWatch {
 public:
  using Counts = std::map<std::string, store::LagCounts>;  // by node and group, since the nodes' start

  // What a region has counted before its first reading does not count.
  void read(std::size_t region, Counts counts);
  bool reads(std::size_t region) const { return regions_.contains(region); }
  std::int64_t p99_ms() const;

 private:
  struct Region {
    Counts first, last;
  };
  std::map<std::size_t, Region> regions_;
};

}  // namespace evercert::demo
