// SPDX-License-Identifier: Apache-2.0
#include "sim/faults.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "store/membership.h"
#include "store/membership_board.h"

namespace evercert::sim {
namespace {

constexpr Duration kUnplanned = 700ms;  // a node that stopped by itself is started again after so long

}  // namespace

Faults::Faults(World& world) : world_(world) {
  const store::RegionSet witnesses = world.layout().witnesses;
  witness_logs_whole_ = witnesses == store::first_regions(witnesses, world.options().regions);
  world_.on_down = [this](NodeId node) {
    const auto set = set_times_.extract(node);
    world_.at(set.empty() ? kUnplanned : set.mapped(), [this, node] { world_.start(node); });
  };
  world_.on_records_replaced = [this](NodeId node) {
    if (world_.is_witness(node)) witness_logs_whole_ = false;
  };
  world_.on_damaged = [this](NodeId node, const Error& error) { repair(node, error); };
}

std::vector<NodeId> Faults::nodes_of(RegionId region) const {
  std::vector<NodeId> found;
  for (const NodeId node : world_.nodes()) {
    if (region_of(node) == region) found.push_back(node);
  }
  return found;
}

// Nobody else lacks anything that a group may count on: whoever votes in it, or is to, by the word of anybody who is a
// member, as those who know most have it. Who left a group long ago and has not heard of it since counts for nothing.
bool Faults::others_well(NodeId node, Erring erring) {
  const auto damaged = [&](NodeId other) {
    return world_.damaged(other) && !(erring == Erring::kWell && world_.erred(other));
  };
  std::set<std::vector<NodeId>> electorates;
  std::map<GroupId, LogIndex> newest;
  std::map<GroupId, std::set<NodeId>> members;
  std::set<std::pair<NodeId, GroupId>> votes;
  // When the regions are gone that an operator is about to take away.
  const auto staying = [this](std::vector<NodeId> voters) {
    std::erase_if(voters, [this](NodeId voter) { return world_.leaves(region_of(voter)); });
    return voters;
  };
  const auto each_group = [this](const auto& visit) {
    for (const NodeId other : world_.nodes()) {
      if (!world_.up(other)) continue;
      for (std::uint32_t g = 0; world_.engine(other)->has(GroupId{g}); ++g)
        visit(other, world_.engine(other)->group(GroupId{g}));
    }
  };
  // Who is wanted, by the word of who knows most: one that was exchanged long ago may want itself for ever.
  std::uint64_t epoch = 0;
  std::vector<NodeId> wanted;
  for (const NodeId other : world_.nodes()) {
    if (!world_.up(other)) continue;
    const auto record = world_.engine(other)->membership().view()->record;
    if (record.epoch() >= epoch) wanted = store::wanted_voters(record);
    epoch = std::max(epoch, record.epoch());
  }
  // A node that is down votes in no electorate to come before it remembers again: none begins without it.
  const bool comes_back = !world_.up(node);
  if (!comes_back) electorates.insert(staying(wanted));
  each_group([&](NodeId, const store::Group& group) {
    newest[group.id()] = std::max(newest[group.id()], group.applied_index());
    for (const NodeId voter : wanted) votes.insert({voter, group.id()});
  });
  each_group([&](NodeId, const store::Group& group) {
    if (group.applied_index() != newest[group.id()]) return;
    for (const NodeId member : group.configuration().members()) members[group.id()].insert(member);
  });
  each_group([&](NodeId other, const store::Group& group) {
    if (!members[group.id()].contains(other)) return;
    auto all = group.coming();
    all.push_back(group.configuration());
    for (const auto& configuration : all) {
      for (const auto& half : configuration.halves) {
        electorates.insert(half.nodes);
        if (!comes_back) electorates.insert(staying(half.nodes));
        for (const NodeId voter : half.nodes) votes.insert({voter, group.id()});
      }
    }
  });
  for (const NodeId other : world_.nodes()) {
    // What the nodes of a removed region hold is for nobody, and they may never learn who votes by now.
    if (world_.removed(region_of(other))) continue;
    if (other != node && damaged(other)) return false;
  }
  // Of two voters none may lose its disk: they go on by `evercert recover`.
  const bool enough = std::ranges::all_of(electorates, [&](const auto& nodes) {
    return std::ranges::find(nodes, node) == nodes.end() || nodes.size() - 1 >= nodes.size() / 2 + 1;
  });
  if (!enough) return false;
  std::erase_if(votes, [&](const auto& vote) { return vote.first == node; });
  return std::all_of(votes.begin(), votes.end(), [&](const auto& vote) {
    const auto& [voter, group] = vote;
    if (!world_.up(voter) || damaged(voter) || world_.engine(voter)->asking()) return false;
    // A group that has not begun there it will begin, unless it is to catch up before.
    return world_.engine(voter)->has(group) ? world_.engine(voter)->group(group).gate_open()
                                            : !world_.engine(voter)->recovering();
  });
}

void Faults::kill(const std::vector<NodeId>& nodes, Duration lasting, World::End how) {
  for (const NodeId node : nodes) {
    if (!world_.up(node)) continue;
    set_times_[node] = lasting;
    world_.end(node, how);
  }
}

void Faults::lose_power_in_a_write(NodeId node, std::uint64_t operation, Duration lasting) {
  if (!world_.up(node)) return;
  set_times_[node] = lasting;
  world_.power_off_in_operation(node, operation);
}

// With a witness there may be one copy of the records less: what the disk of `node` holds, another that stores holds
// too, or it is still in a witness's log. (Whether it really is there is for the checkers to find out.)
bool Faults::others_have_all(NodeId node) {
  if (world_.layout().witnesses == 0) return true;
  bool all = true, everybody = true, witnessed = false;
  for (std::uint32_t g = 0; g < world_.layout().groups(); ++g) {
    LogIndex applied;
    bool somebody = false;
    for (const NodeId other : world_.nodes()) {
      if (world_.up(other) && world_.engine(other)->has(GroupId{g}))
        applied = std::max(applied, world_.engine(other)->group(GroupId{g}).applied_index());
    }
    for (const NodeId other : world_.nodes()) {
      const bool here = world_.up(other) && world_.engine(other)->has(GroupId{g});
      const auto* group = here ? &world_.engine(other)->group(GroupId{g}) : nullptr;
      const bool votes = here && group->gate_open() && group->configuration().votes_everywhere(other);
      if (world_.is_witness(other)) {
        // One that is added has in its log what is written from then on.
        const bool counts = !world_.removed(region_of(other)) && (other.value & 0xff) <= world_.options().zones;
        witnessed = witnessed || counts;
        everybody = everybody && (votes || !counts);
        continue;
      }
      const bool has = votes && group->status().commit >= applied;
      // Also one that is to be removed, and still votes.
      somebody = somebody || (has && other != node);
      if (std::ranges::binary_search(world_.members(), other)) everybody = everybody && has;
    }
    all = all && somebody;
  }
  if (everybody) witness_logs_whole_ = true;
  return all || (witnessed && witness_logs_whole_ && !world_.is_witness(node));
}

bool Faults::may_damage(NodeId node) {
  return world_.up(node) && !world_.engine(node)->recovering() && others_well(node) && others_have_all(node);
}

bool Faults::may_err(NodeId node) {
  if (may_damage(node)) return true;
  const auto down = [&](NodeId other) { return other == node || !world_.up(other); };
  const auto damaged = [&](NodeId other) { return world_.damaged(other); };
  return world_.up(node) && !world_.engine(node)->recovering() && std::ranges::none_of(world_.nodes(), damaged) &&
         std::ranges::count_if(world_.nodes(), down) == 2;
}

bool Faults::lose_disk(NodeId node, Duration lasting) {
  if (!may_damage(node)) return false;
  set_times_[node] = lasting;
  world_.wipe(node);
  return true;
}

bool Faults::empty_disk(NodeId node) {
  if (!world_.up(node) || !others_well(node, Erring::kWell) || !others_have_all(node)) return false;
  world_.wipe(node);
  return true;
}

void Faults::slow_disk(NodeId node, Duration by, Duration lasting) {
  world_.slow_disk(node, by);
  world_.at(lasting, [this, node] { world_.slow_disk(node, 0us); });
}

void Faults::fill_disk(NodeId node, std::uint64_t bytes_left, Duration lasting) {
  world_.fill_disk(node, bytes_left);
  world_.at(lasting, [this, node] { world_.fill_disk(node, std::nullopt); });
}

void Faults::fail_sync(NodeId node, Duration lasting) {
  if (!world_.up(node)) return;
  set_times_[node] = lasting;
  world_.fail_sync(node);
}

// A node refused to start. On a full disk it is tried again; a damaged one is replaced, which forgets what it held.
void Faults::repair(NodeId node, const Error& error) {
  const bool damaged = error.code == Code::kCorrupt;
  world_.at(200ms, [this, node, error, damaged] {
    if (world_.up(node)) return;
    if (!damaged) return world_.start(node);
    if (!others_well(node) || !others_have_all(node)) return repair(node, error);
    count("damaged disk replaced");
    world_.note("REPAIR " + node_name(node) + " gets an empty disk: " + error.message);
    world_.wipe(node);
    world_.start(node);
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
    world_.fill_disk(node, std::nullopt);
    world_.start(node);
  }
}

}  // namespace evercert::sim
