// SPDX-License-Identifier: Apache-2.0
#include "node/roster.h"

#include <algorithm>
#include <set>

#include "store/membership.h"

namespace evercert::node {
namespace {

net::HttpTarget target_of(const config::ClusterConfig& config, NodeId node, const std::string& address,
                          std::uint16_t port) {
  return {address, port, true, "node-" + std::to_string(node.value) + "." + config.name + ".internal"};
}

// Who votes in all groups, and is to go on. One that is being added counts when it has caught up: its lag until then is
// no illness. Empty: nothing is known yet.
std::set<NodeId> voters_of(const store::MembershipView& view) {
  const auto wanted = store::wanted_voters(view.record);
  std::set<NodeId> voters(wanted.begin(), wanted.end());
  if (view.groups.empty()) return voters;
  if (voters.empty()) {
    const auto& all = view.groups.front().voters();
    voters.insert(all.begin(), all.end());
  }
  std::erase_if(voters, [&](NodeId node) {
    return !std::ranges::all_of(view.groups, [&](const auto& group) { return group.votes_everywhere(node); });
  });
  return voters;
}

}  // namespace

std::string name_of(const config::ClusterConfig& config, NodeId node) {
  const RegionId region = region_of(node);
  const auto named = std::ranges::find(config.regions, region, &config::RegionConfig::id);
  return (named == config.regions.end() ? "region-" + std::to_string(region.value) : named->name) + "/" +
         std::to_string(node.value % 256);
}

Roster roster_of(const config::ClusterConfig& config, NodeId self, const store::MembershipView& view) {
  const std::set<NodeId> voters = voters_of(view);
  Roster roster;
  std::uint16_t api_port = 0;
  for (const auto& region : config.regions) {
    if (region.removed) continue;
    if (!region.witness) roster.regions[region.id] = region.name;
    for (const auto& node : region.nodes) {
      if (node.id == self) api_port = node.api_port;
      const bool counts = voters.empty() ? !node.spare : voters.contains(node.id);
      if (!counts && node.id != self) continue;
      if (region.witness) {
        roster.witnesses[node.id] = {region.name + "/" + std::to_string(node.zone),
                                     {node.address, node.status_port, false, node.address}};
        continue;
      }
      roster.nodes[node.id] = region.id;
      roster.peers[node.id] = target_of(config, node.id, node.address, node.api_port);
    }
  }
  for (const auto& replica : view.record.replicas().nodes()) {
    const NodeId node{replica.node()};
    const RegionId region = region_of(node);
    if (!voters.contains(node)) continue;
    if (roster.nodes.contains(node) || replica.address().empty() || !roster.regions.contains(region)) continue;
    roster.nodes[node] = region;
    roster.peers[node] = target_of(config, node, replica.address(), api_port);
  }
  return roster;
}

RosterWatch::RosterWatch(const config::ClusterConfig& config, NodeId self,
                         std::function<std::shared_ptr<const store::MembershipView>()> membership)
    : config_(config), self_(self), membership_(std::move(membership)) {}

std::shared_ptr<const Roster> RosterWatch::now() {
  auto view = membership_();
  std::lock_guard lock(mutex_);
  if (roster_ && view == seen_) return roster_;
  auto fresh = std::make_shared<const Roster>(roster_of(config_, self_, *view));
  // Most changes of the record are about regions. (Where a node answers does not change while it is one.)
  const auto same = [](const auto& a, const auto& b) {
    return std::ranges::equal(
        a, b, {}, [](const auto& one) { return one.first; }, [](const auto& one) { return one.first; });
  };
  if (!roster_ || !same(roster_->nodes, fresh->nodes) || !same(roster_->witnesses, fresh->witnesses))
    roster_ = std::move(fresh);
  seen_ = std::move(view);
  return roster_;
}

}  // namespace evercert::node
