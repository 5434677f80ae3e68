// SPDX-License-Identifier: Apache-2.0
// Faults at random: crashes (also in the middle of a write), lost disks, regions cut off, links cut one way, all healed
// again. Which of them, and how often, is drawn from the seed.
#pragma once

#include "sim/faults.h"

namespace evercert::sim {

struct SwarmOptions {
  Duration pause_min = 300ms, pause_max = 5s;
  Faults::Down down;
  double region_alone = 0.15, one_way = 0.15, heal = 0.3, region_dies = 0.1, node_dies = 0.15, torn_write = 0.1,
         disk_lost = 0.05, disk_slow = 0.05;

  static SwarmOptions draw(SeededRandom& random);
};
// The weights by the names that a scenario file gives them.
const std::map<std::string, double SwarmOptions::*>& swarm_names();

class Swarm {
 public:
  Swarm(World& world, Faults& faults, SeededRandom& random, SwarmOptions options)
      : world_(world), faults_(faults), random_(random), options_(options) {}
  void start();
  void stop() { running_ = false; }

 private:
  void step();
  void strike();

  World& world_;
  Faults& faults_;
  SeededRandom& random_;
  SwarmOptions options_;
  bool running_ = true;
};

}  // namespace evercert::sim
