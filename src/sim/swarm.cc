// SPDX-License-Identifier: Apache-2.0
#include "sim/swarm.h"

namespace evercert::sim {

const std::map<std::string, double SwarmOptions::*>& swarm_names() {
  static const std::map<std::string, double SwarmOptions::*> names{{"region_alone", &SwarmOptions::region_alone},
                                                                   {"one_way", &SwarmOptions::one_way},
                                                                   {"heal", &SwarmOptions::heal},
                                                                   {"region_dies", &SwarmOptions::region_dies},
                                                                   {"node_dies", &SwarmOptions::node_dies},
                                                                   {"torn_write", &SwarmOptions::torn_write},
                                                                   {"disk_lost", &SwarmOptions::disk_lost},
                                                                   {"disk_slow", &SwarmOptions::disk_slow}};
  return names;
}

SwarmOptions SwarmOptions::draw(SeededRandom& random) {
  SwarmOptions options;
  const auto weight = [&] { return random.chance(0.25) ? 0.0 : random.uniform(); };
  options.pause_min = random.between(50ms, 500ms);
  options.pause_max = random.between(800ms, 6s);
  options.down.min = random.between(5ms, 300ms);
  options.down.max = random.between(400ms, 5s);
  options.region_alone = weight();
  options.one_way = weight();
  options.heal = 0.3 + weight();
  options.region_dies = weight() * 0.6;
  options.node_dies = weight();
  options.torn_write = weight();
  options.disk_lost = weight() * 0.3;
  options.disk_slow = weight() * 0.3;
  return options;
}

void Swarm::start() {
  world_.at(random_.between(500ms, 3s), [this] { step(); });
}

void Swarm::step() {
  if (!running_) return;
  strike();
  world_.at(random_.between(options_.pause_min, options_.pause_max), [this] { step(); });
}

void Swarm::strike() {
  double total = 0;
  for (const auto& [name, weight] : swarm_names()) total += options_.*weight;
  double pick = random_.uniform() * total;
  const auto falls = [&](double weight) {
    pick -= weight;
    return pick < 0;
  };
  const auto any_region = [&] {
    return RegionId{static_cast<std::uint8_t>(1 + random_.below(world_.layout().regions))};
  };
  const RegionId region = any_region();
  const NodeId node = world_.nodes()[random_.below(world_.nodes().size())];
  const auto& o = options_;
  if (falls(o.region_alone)) {
    faults_.count("region cut off");
    faults_.isolate(region);
  } else if (falls(o.one_way)) {
    faults_.count("link cut one way");
    faults_.cut(region, any_region());
  } else if (falls(o.heal)) {
    faults_.count("healed");
    faults_.heal();
  } else if (falls(o.region_dies)) {
    faults_.count("region killed");
    faults_.kill(faults_.nodes_of(region));
  } else if (falls(o.node_dies)) {
    faults_.count("node killed");
    faults_.kill({node});
  } else if (falls(o.torn_write)) {
    faults_.count("power lost in a write");
    faults_.lose_power_in_a_write(node);
  } else if (falls(o.disk_lost)) {
    if (faults_.lose_disk(node)) faults_.count("disk lost");
  } else {
    faults_.count("disk slow");
    faults_.slow_disk({node}, random_.between(5ms, 400ms), random_.between(500ms, 4s));
  }
}

}  // namespace evercert::sim
