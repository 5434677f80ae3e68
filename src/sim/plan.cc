// SPDX-License-Identifier: Apache-2.0
#include "sim/plan.h"

#include <algorithm>

namespace evercert::sim {
namespace {

using Kind = PlannedFault::Kind;

std::string rounded_seconds(Duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(d.count()) / 1e6);
  return text;
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kKill: return "kill";
    case Kind::kStop: return "stop";
    case Kind::kWipe: return "wipe";
    case Kind::kTear: return "tear";
    case Kind::kSlowDisk: return "slow_disk";
    case Kind::kFullDisk: return "full_disk";
    case Kind::kFailSync: return "fail_sync";
    case Kind::kLoseWrite: return "lose_write";
    case Kind::kRotLog: return "rot_log";
    case Kind::kRotState: return "rot_state";
    case Kind::kErr: return "err";
    case Kind::kIsolate: return "isolate";
    case Kind::kCut: return "cut";
    case Kind::kBridge: return "bridge";
    case Kind::kHeal: return "heal";
    case Kind::kFence: return "fence";
    case Kind::kDrain: return "drain";
    case Kind::kMembers: return "members";
    case Kind::kAddRegion: return "add_region";
    case Kind::kRemoveRegion: return "remove_region";
  }
  return "?";
}

std::string to_text(const PlannedFault& fault) {
  std::string text(to_string(fault.kind));
  if (fault.kind == Kind::kHeal) return text;
  if (fault.kind == Kind::kMembers) {
    for (const NodeId node : fault.members) text += " " + node_name(node);
    return text;
  }
  text += " " + std::to_string(fault.region.value);
  if (fault.zone) text += "." + std::to_string(*fault.zone);
  if (fault.kind == Kind::kCut || fault.kind == Kind::kBridge) text += " to " + std::to_string(fault.to.value);
  if (fault.kind == Kind::kAddRegion || fault.kind == Kind::kRemoveRegion) return text;
  if (fault.kind == Kind::kSlowDisk) text += " by " + std::to_string(fault.by.count() / 1000) + " ms";
  return text + (fault.until_healed ? " until healed" : " for " + rounded_seconds(fault.lasting) + " s");
}

std::vector<PlannedFault> each(const std::vector<PlannedFault>& faults) {
  std::vector<PlannedFault> all;
  for (const PlannedFault& fault : faults) {
    PlannedFault one = fault;
    one.every.reset();
    do {
      all.push_back(one);
      one.at += fault.every.value_or(0us);
    } while (fault.every && one.at <= fault.until);
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  return all;
}

void Plan::start() {
  for (const PlannedFault& fault : planned_) {
    world_.at(fault.at, [this, &fault] { strike(fault); });
  }
}

void Plan::strike(const PlannedFault& fault) {
  if (!running_) return;
  world_.note("FAULT " + to_text(fault));
  const auto nodes = fault.zone ? std::vector{node_id(fault.region, *fault.zone)} : faults_.nodes_of(fault.region);
  const auto lasting = fault.until_healed ? std::nullopt : std::optional(fault.lasting);
  switch (fault.kind) {
    case Kind::kKill:
      faults_.count(fault.zone ? "node killed" : "region killed");
      return faults_.kill(nodes, fault.lasting, World::End::kMachine);
    case Kind::kStop: faults_.count("process ended"); return faults_.kill(nodes, fault.lasting, World::End::kProcess);
    case Kind::kIsolate: faults_.count("region cut off"); return faults_.isolate(fault.region, lasting);
    case Kind::kCut: faults_.count("link cut one way"); return faults_.cut(fault.region, fault.to, lasting);
    case Kind::kBridge:
      faults_.count("two regions parted");
      faults_.cut(fault.region, fault.to, lasting);
      return faults_.cut(fault.to, fault.region, lasting);
    case Kind::kHeal: faults_.count("healed"); return faults_.heal();
    case Kind::kFence:
      faults_.count("region fenced by an operator");
      return operator_.put(fault.region, store::v1::FENCED, lasting);
    case Kind::kDrain:
      faults_.count("region drained");
      return operator_.put(fault.region, store::v1::DRAINING, lasting);
    case Kind::kMembers: faults_.count("members changed"); return operator_.want(fault.members);
    case Kind::kAddRegion: return add_region(fault);
    case Kind::kRemoveRegion: faults_.count("region removed"); return operator_.remove(fault.region);
    default:
      for (const NodeId node : nodes) strike_disk(fault, node);
  }
}

void Plan::strike_disk(const PlannedFault& fault, NodeId node) {
  switch (fault.kind) {
    case Kind::kWipe: return lose_disk(node, fault.lasting);
    case Kind::kTear:
      faults_.count("power lost in a write");
      return faults_.lose_power_in_a_write(node, fault.where, fault.lasting);
    case Kind::kSlowDisk: faults_.count("disk slow"); return faults_.slow_disk(node, fault.by, fault.lasting);
    case Kind::kFullDisk: faults_.count("disk full"); return faults_.fill_disk(node, fault.where, fault.lasting);
    case Kind::kFailSync: faults_.count("fsync failed"); return faults_.fail_sync(node, fault.lasting);
    case Kind::kLoseWrite:
      if (!faults_.may_damage(node)) return;
      faults_.count("write lost");
      return world_.lose_write(node);
    case Kind::kRotLog:
      if (faults_.may_damage(node) && world_.rot_log(node, fault.where)) faults_.count("bit rot in the log");
      return;
    case Kind::kRotState:
      if (faults_.may_damage(node) && world_.rot_state(node, fault.where)) faults_.count("bit rot in the state");
      return;
    case Kind::kErr:
      if (!faults_.may_err(node)) return;
      faults_.count("state machine erred");
      return world_.err(node);
    default: return;
  }
}

// One node after the other is started again with the new file, before, while or after the region is added: neither
// waits for the other.
void Plan::add_region(const PlannedFault& fault) {
  faults_.count("region added");
  constexpr std::uint64_t kMost = 3000;
  Duration restart{static_cast<std::int64_t>(fault.where % kMost) * 1000};
  for (const NodeId node : world_.nodes()) {
    if (region_of(node) == fault.region) continue;
    world_.at(restart, [this, node] {
      if (!running_) return;
      world_.new_file(node);
      faults_.kill({node}, 200ms, World::End::kProcess);
    });
    restart += 700ms;
  }
  world_.at(Duration{static_cast<std::int64_t>(fault.where / kMost % kMost) * 1000},
            [this, region = fault.region] { operator_.add(region); });
}

// Waits until everybody is well: a second forgetful replica would be more than any quorum can bear.
void Plan::lose_disk(NodeId node, Duration lasting) {
  if (!running_) return;
  if (faults_.lose_disk(node, lasting)) return faults_.count("disk lost");
  world_.at(100ms, [this, node, lasting] { lose_disk(node, lasting); });
}

}  // namespace evercert::sim
