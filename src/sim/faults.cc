// SPDX-License-Identifier: Apache-2.0
#include "sim/faults.h"

namespace evercert::sim {

Faults::Faults(World& world, SeededRandom& random, Down down) : world_(world), random_(random), down_(down) {
  world_.on_down = [this](NodeId node) {
    const auto set = set_times_.find(node);
    const Duration lasting = set == set_times_.end() ? random_.between(down_.min, down_.max) : set->second;
    world_.at(lasting, [this, node] { world_.start(node); });
  };
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

void Faults::kill(const std::vector<NodeId>& nodes, std::optional<Duration> lasting) {
  for (const NodeId node : nodes) {
    if (!world_.up(node)) continue;
    if (lasting) set_times_[node] = *lasting;
    world_.crash(node);
    set_times_.erase(node);
  }
}

void Faults::lose_power_in_a_write(NodeId node) {
  if (world_.up(node)) world_.crash_in_operation(node, 1 + random_.below(8));
}

bool Faults::lose_disk(NodeId node, std::optional<Duration> lasting) {
  if (!all_well()) return false;
  if (lasting) set_times_[node] = *lasting;
  world_.wipe(node);
  set_times_.erase(node);
  return true;
}

void Faults::slow_disk(const std::vector<NodeId>& nodes, Duration by, Duration lasting) {
  for (const NodeId node : nodes) world_.slow_disk(node, by);
  world_.at(lasting, [this, nodes] {
    for (const NodeId node : nodes) world_.slow_disk(node, 0us);
  });
}

void Faults::cut_links(const Links& links, std::optional<Duration> lasting) {
  for (const auto& [from, to] : links) world_.cut(from, to);
  if (!lasting) return;
  world_.at(*lasting, [this, links] {
    for (const auto& [from, to] : links) world_.mend(from, to);
  });
}

void Faults::cut(RegionId from, RegionId to, std::optional<Duration> lasting) {
  Links links;
  for (const NodeId a : nodes_of(from)) {
    for (const NodeId b : nodes_of(to)) links.emplace_back(a, b);
  }
  cut_links(links, lasting);
}

void Faults::isolate(RegionId region, std::optional<Duration> lasting) {
  Links links;
  for (const NodeId a : nodes_of(region)) {
    for (const NodeId b : world_.nodes()) {
      if (region_of(b) == region) continue;
      links.emplace_back(a, b);
      links.emplace_back(b, a);
    }
  }
  cut_links(links, lasting);
}

void Faults::heal() { world_.heal(); }

void Faults::end() {
  world_.heal();
  for (const NodeId node : world_.nodes()) {
    world_.slow_disk(node, 0us);
    world_.start(node);
  }
}

}  // namespace evercert::sim
