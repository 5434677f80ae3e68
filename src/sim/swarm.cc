// SPDX-License-Identifier: Apache-2.0
#include "sim/swarm.h"

namespace evercert::sim {
namespace {

using Kind = PlannedFault::Kind;
using Weight = double SwarmOptions::*;

// Whole milliseconds, so that a file says exactly the same.
Duration between(SeededRandom& random, Duration low, Duration high) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(random.between(low, high));
}

class Drawer {
 public:
  Drawer(const SwarmOptions& options, const WorldOptions& world, SeededRandom& random)
      : options_(options), world_(world), layout_(layout_of(world)), random_(random) {}

  std::vector<PlannedFault> run(Duration duration) {
    for (at_ = between(random_, 500ms, 3s); at_ < duration;
         at_ += between(random_, options_.pause_min, options_.pause_max)) {
      draw();
    }
    return each(drawn_);
  }

 private:
  void draw() {
    double total = 0;
    for (const auto& [name, weight] : swarm_names()) total += options_.*weight;
    double pick = random_.uniform() * total;
    Weight chosen = &SwarmOptions::heal;
    for (const auto& [name, weight] : swarm_names()) {
      pick -= options_.*weight;
      if (pick >= 0) continue;
      chosen = weight;
      break;
    }
    const RegionId region = any_region();
    const NodeId node = layout_.nodes[random_.below(layout_.nodes.size())];
    if (chosen == &SwarmOptions::region_alone) return link(Kind::kIsolate, region);
    if (chosen == &SwarmOptions::one_way) return link(Kind::kCut, region);
    if (chosen == &SwarmOptions::bridge) return link(Kind::kBridge, region);
    if (chosen == &SwarmOptions::flapping) return flap(region);
    if (chosen == &SwarmOptions::heal) return add(of(Kind::kHeal));
    if (chosen == &SwarmOptions::operator_fences) return put(Kind::kFence, region);
    if (chosen == &SwarmOptions::operator_drains) return put(Kind::kDrain, region);
    if (chosen == &SwarmOptions::members_change) return members();
    if (chosen == &SwarmOptions::region_dies) {
      for (const NodeId each : layout_.nodes) {
        if (region_of(each) == region) of_node(Kind::kKill, each).lasting = down_time();
      }
      return;
    }
    PlannedFault& fault = of_node(kind_of(chosen), node);
    fault.lasting = down_time();
    fault.where = draw_where(fault.kind, random_);
    if (fault.kind == Kind::kSlowDisk) fault.by = between(random_, 5ms, 400ms);
  }

  static Kind kind_of(Weight chosen) {
    static const std::pair<Weight, Kind> kinds[] = {
        {&SwarmOptions::node_dies, Kind::kKill},      {&SwarmOptions::process_ends, Kind::kStop},
        {&SwarmOptions::torn_write, Kind::kTear},     {&SwarmOptions::disk_lost, Kind::kWipe},
        {&SwarmOptions::disk_slow, Kind::kSlowDisk},  {&SwarmOptions::disk_full, Kind::kFullDisk},
        {&SwarmOptions::sync_fails, Kind::kFailSync}, {&SwarmOptions::write_lost, Kind::kLoseWrite},
        {&SwarmOptions::log_rots, Kind::kRotLog},     {&SwarmOptions::state_rots, Kind::kRotState}};
    for (const auto& [weight, kind] : kinds) {
      if (weight == chosen) return kind;
    }
    return Kind::kKill;
  }

  static PlannedFault of(Kind kind) {
    PlannedFault fault;
    fault.kind = kind;
    return fault;
  }
  void add(PlannedFault fault) {
    fault.at = at_;
    drawn_.push_back(fault);
  }
  PlannedFault& of_node(Kind kind, NodeId node) {
    PlannedFault fault = of(kind);
    fault.region = region_of(node);
    fault.zone = static_cast<std::uint8_t>(node.value % 256);
    add(fault);
    return drawn_.back();
  }
  void link(Kind kind, RegionId region) {
    PlannedFault fault = of(kind);
    fault.region = region;
    fault.to = any_region();
    fault.until_healed = true;
    add(fault);
  }
  void put(Kind kind, RegionId region) {
    PlannedFault fault = of(kind);
    fault.region = region;
    fault.lasting = between(random_, 500ms, 6s);
    fault.until_healed = random_.chance(0.2);
    add(fault);
  }
  // Of each region a run of its nodes: as many as in the beginning, or one more or less.
  void members() {
    if (world_.spares == 0) return;
    PlannedFault fault = of(Kind::kMembers);
    const auto all = static_cast<std::uint8_t>(world_.zones + world_.spares);
    for (std::uint8_t r = 1; r <= world_.regions; ++r) {
      const std::uint64_t most = std::min<std::uint64_t>(all, world_.zones + 1u), least = std::max(world_.zones - 1, 1);
      const std::uint64_t count = random_.chance(0.6) ? world_.zones : least + random_.below(most - least + 1);
      const auto first = random_.below(all - count + 1);
      for (std::uint64_t z = first; z < first + count; ++z)
        fault.members.push_back(node_id(RegionId{r}, static_cast<std::uint8_t>(z + 1)));
    }
    add(fault);
  }
  void flap(RegionId region) {
    PlannedFault fault = of(random_.chance(0.5) ? Kind::kBridge : Kind::kCut);
    fault.region = region;
    fault.to = any_region();
    fault.at = at_;
    fault.lasting = between(random_, 20ms, 700ms);
    fault.every = fault.lasting + between(random_, 20ms, 700ms);
    fault.until = at_ + between(random_, 1s, 6s);
    drawn_.push_back(fault);
  }
  Duration down_time() { return between(random_, options_.down_min, options_.down_max); }
  RegionId any_region() { return RegionId{static_cast<std::uint8_t>(1 + random_.below(layout_.regions))}; }

  const SwarmOptions& options_;
  const WorldOptions& world_;
  store::Layout layout_;
  SeededRandom& random_;
  Duration at_{};
  std::vector<PlannedFault> drawn_;
};

}  // namespace

const std::map<std::string, double SwarmOptions::*>& swarm_names() {
  static const std::map<std::string, double SwarmOptions::*> names{{"region_alone", &SwarmOptions::region_alone},
                                                                   {"one_way", &SwarmOptions::one_way},
                                                                   {"bridge", &SwarmOptions::bridge},
                                                                   {"flapping", &SwarmOptions::flapping},
                                                                   {"heal", &SwarmOptions::heal},
                                                                   {"region_dies", &SwarmOptions::region_dies},
                                                                   {"node_dies", &SwarmOptions::node_dies},
                                                                   {"process_ends", &SwarmOptions::process_ends},
                                                                   {"torn_write", &SwarmOptions::torn_write},
                                                                   {"disk_lost", &SwarmOptions::disk_lost},
                                                                   {"disk_slow", &SwarmOptions::disk_slow},
                                                                   {"disk_full", &SwarmOptions::disk_full},
                                                                   {"sync_fails", &SwarmOptions::sync_fails},
                                                                   {"write_lost", &SwarmOptions::write_lost},
                                                                   {"log_rots", &SwarmOptions::log_rots},
                                                                   {"state_rots", &SwarmOptions::state_rots},
                                                                   {"operator_fences", &SwarmOptions::operator_fences},
                                                                   {"operator_drains", &SwarmOptions::operator_drains},
                                                                   {"members_change", &SwarmOptions::members_change}};
  return names;
}

SwarmOptions SwarmOptions::draw(SeededRandom& random) {
  SwarmOptions options;
  const auto weight = [&] { return random.chance(0.25) ? 0.0 : random.uniform(); };
  options.pause_min = random.between(50ms, 500ms);
  options.pause_max = random.between(800ms, 6s);
  options.down_min = random.between(5ms, 300ms);
  options.down_max = random.between(400ms, 5s);
  options.region_alone = weight();
  options.one_way = weight();
  options.bridge = weight() * 0.6;
  options.flapping = weight() * 0.3;
  options.heal = 0.3 + weight();
  options.region_dies = weight() * 0.6;
  options.node_dies = weight();
  options.process_ends = weight();
  options.torn_write = weight();
  options.disk_lost = weight() * 0.3;
  options.disk_slow = weight() * 0.3;
  options.disk_full = weight() * 0.3;
  options.sync_fails = weight() * 0.3;
  options.write_lost = weight() * 0.2;
  options.log_rots = weight() * 0.3;
  options.state_rots = weight() * 0.3;
  options.operator_fences = weight() * 0.2;
  options.operator_drains = weight() * 0.15;
  options.members_change = weight() * 0.6;
  return options;
}

std::uint64_t draw_where(Kind kind, SeededRandom& random) {
  const std::uint64_t drawn = 1 + random.below(1u << 20);
  if (kind == Kind::kTear) return 1 + drawn % 8;
  return kind == Kind::kFullDisk ? 1 + drawn % 3000 : drawn;
}

std::vector<PlannedFault> draw_faults(const SwarmOptions& options, const WorldOptions& world, Duration duration,
                                      SeededRandom& random) {
  return Drawer(options, world, random).run(duration);
}

}  // namespace evercert::sim
