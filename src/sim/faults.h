// SPDX-License-Identifier: Apache-2.0
// What goes wrong: crashes (also in the middle of a write), lost disks, regions cut off, links cut one way, all healed
// again. Which of them, and how often, is drawn from the seed.
#pragma once

#include <map>
#include <set>

#include "sim/world.h"

namespace evercert::sim {

struct FaultOptions {
  Duration pause_min = 300ms, pause_max = 5s;
  Duration down_min = 100ms, down_max = 4s;
  double region_alone = 0.15, one_way = 0.15, heal = 0.3, region_dies = 0.1, node_dies = 0.15, torn_write = 0.1,
         disk_lost = 0.05;

  static FaultOptions draw(SeededRandom& random);
};

class Faults {
 public:
  Faults(World& world, SeededRandom& random, FaultOptions options);
  void start();
  // No further faults; everything is healed and started.
  void end();
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  void step();
  void strike();
  void take_down(NodeId node);
  std::vector<NodeId> nodes_of(RegionId region) const;
  bool all_well();

  World& world_;
  SeededRandom& random_;
  FaultOptions options_;
  bool running_ = true;
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace evercert::sim
