// SPDX-License-Identifier: Apache-2.0
#include "sim/faults.h"

namespace evercert::sim {

FaultOptions FaultOptions::draw(SeededRandom& random) {
  FaultOptions options;
  const auto weight = [&] { return random.chance(0.25) ? 0.0 : random.uniform(); };
  options.pause_min = random.between(50ms, 500ms);
  options.pause_max = random.between(800ms, 6s);
  options.down_min = random.between(5ms, 300ms);
  options.down_max = random.between(400ms, 5s);
  options.region_alone = weight();
  options.one_way = weight();
  options.heal = 0.3 + weight();
  options.region_dies = weight() * 0.6;
  options.node_dies = weight();
  options.torn_write = weight();
  options.disk_lost = weight() * 0.3;
  return options;
}

Faults::Faults(World& world, SeededRandom& random, FaultOptions options)
    : world_(world), random_(random), options_(options) {
  world_.on_down = [this](NodeId node) {
    world_.at(random_.between(options_.down_min, options_.down_max), [this, node] { world_.start(node); });
  };
}

void Faults::start() {
  world_.at(random_.between(500ms, 3s), [this] { step(); });
}

void Faults::step() {
  if (!running_) return;
  strike();
  world_.at(random_.between(options_.pause_min, options_.pause_max), [this] { step(); });
}

std::vector<NodeId> Faults::nodes_of(RegionId region) const {
  std::vector<NodeId> found;
  for (const NodeId node : world_.nodes()) {
    if (region_of(node) == region) found.push_back(node);
  }
  return found;
}

bool Faults::all_well() {
  for (const NodeId node : world_.nodes()) {
    if (!world_.up(node) || world_.engine(node)->recovering()) return false;
  }
  return true;
}

void Faults::take_down(NodeId node) {
  if (world_.up(node)) world_.crash(node);
}

void Faults::strike() {
  const auto& o = options_;
  const double total = o.region_alone + o.one_way + o.heal + o.region_dies + o.node_dies + o.torn_write + o.disk_lost;
  double pick = random_.uniform() * total;
  const auto falls = [&](double weight) {
    pick -= weight;
    return pick < 0;
  };
  const RegionId region{static_cast<std::uint8_t>(1 + random_.below(world_.layout().regions))};
  const NodeId node = world_.nodes()[random_.below(world_.nodes().size())];
  const auto inside = nodes_of(region);
  if (falls(o.region_alone)) {
    ++counts_["region cut off"];
    for (const NodeId a : inside) {
      for (const NodeId b : world_.nodes()) {
        if (region_of(b) == region) continue;
        world_.cut(a, b);
        world_.cut(b, a);
      }
    }
  } else if (falls(o.one_way)) {
    ++counts_["link cut one way"];
    const RegionId other{static_cast<std::uint8_t>(1 + random_.below(world_.layout().regions))};
    for (const NodeId a : inside) {
      for (const NodeId b : nodes_of(other)) world_.cut(a, b);
    }
  } else if (falls(o.heal)) {
    ++counts_["healed"];
    world_.heal();
  } else if (falls(o.region_dies)) {
    ++counts_["region killed"];
    for (const NodeId member : inside) take_down(member);
  } else if (falls(o.node_dies)) {
    ++counts_["node killed"];
    take_down(node);
  } else if (falls(o.torn_write)) {
    ++counts_["power lost in a write"];
    if (world_.up(node)) world_.crash_in_operation(node, 1 + random_.below(8));
  } else if (falls(o.disk_lost) && all_well()) {
    // One at a time: two forgetful replicas of three are beyond what any quorum can bear.
    ++counts_["disk lost"];
    world_.wipe(node);
  }
}

void Faults::end() {
  running_ = false;
  world_.heal();
  for (const NodeId node : world_.nodes()) world_.start(node);
}

}  // namespace evercert::sim
