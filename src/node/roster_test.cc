// SPDX-License-Identifier: Apache-2.0
// Who the nodes of the cluster are, by its file and its membership record.
#include "node/roster.h"

#include <gtest/gtest.h>

namespace evercert::node {
namespace {

const NodeId kEast = node_id(RegionId{1}, 1), kEast2 = node_id(RegionId{1}, 2), kEast3 = node_id(RegionId{1}, 3),
             kWest = node_id(RegionId{2}, 1), kWatch = node_id(RegionId{3}, 1);

config::NodeConfig node(NodeId id, bool spare = false) {
  config::NodeConfig out;
  out.id = id;
  out.zone = static_cast<int>(id.value % 256);
  out.address = "127." + std::to_string(id.value / 256) + ".0.1" + std::to_string(out.zone);
  out.api_port = 9443;
  out.status_port = 9080;
  out.spare = spare;
  return out;
}

config::ClusterConfig file() {
  config::ClusterConfig config;
  config.name = "c";
  config::RegionConfig east, west, watch;
  east.id = RegionId{1}, east.name = "east", east.nodes = {node(kEast), node(kEast2, true)};
  west.id = RegionId{2}, west.name = "west", west.nodes = {node(kWest)};
  watch.id = RegionId{3}, watch.name = "watch", watch.witness = true, watch.nodes = {node(kWatch)};
  config.regions = {east, west, watch};
  return config;
}

store::MembershipView voting(const std::vector<NodeId>& nodes, const std::string& address = "") {
  store::MembershipView view;
  for (const NodeId node : nodes) {
    auto& replica = *view.record.mutable_replicas()->add_nodes();
    replica.set_node(node.value);
    if (node == kEast3) replica.set_address(address);
  }
  return view;
}

std::vector<NodeId> nodes_of(const Roster& roster) {
  std::vector<NodeId> nodes;
  for (const auto& [node, region] : roster.nodes) nodes.push_back(node);
  return nodes;
}

TEST(Roster, AtTheBeginningTheNodesOfTheFileThatAreNotSpare) {
  const Roster roster = roster_of(file(), kEast, {});
  EXPECT_EQ(nodes_of(roster), (std::vector{kEast, kWest}));
  EXPECT_EQ(roster.regions.size(), 2u) << "a witness keeps no records";
  ASSERT_TRUE(roster.witnesses.contains(kWatch));
  EXPECT_EQ(roster.witnesses.at(kWatch).name, "watch/1");
  EXPECT_EQ(roster.witnesses.at(kWatch).target.port, 9080);
}

TEST(Roster, WhoVotesIsOneOfThemAndWhoWasRemovedIsNone) {
  EXPECT_EQ(nodes_of(roster_of(file(), kEast, voting({kEast, kEast2, kWest}))), (std::vector{kEast, kEast2, kWest}));
  EXPECT_EQ(nodes_of(roster_of(file(), kEast, voting({kEast}))), (std::vector{kEast}));
  EXPECT_EQ(nodes_of(roster_of(file(), kWest, voting({kEast}))), (std::vector{kEast, kWest}))
      << "a node always knows itself";
}

TEST(Roster, ANodeThatTheFileDoesNotNameIsWhereTheRecordSays) {
  const Roster roster = roster_of(file(), kEast, voting({kEast, kEast3, kWest}, "127.1.0.13"));
  EXPECT_EQ(nodes_of(roster), (std::vector{kEast, kEast3, kWest}));
  const auto& target = roster.peers.at(kEast3);
  EXPECT_EQ(target.address, "127.1.0.13");
  EXPECT_EQ(target.port, 9443);
  EXPECT_EQ(target.server_name, "node-" + std::to_string(kEast3.value) + ".c.internal");
  EXPECT_EQ(nodes_of(roster_of(file(), kEast, voting({kEast, kEast3, kWest}))), (std::vector{kEast, kWest}))
      << "nobody knows where it is";
}

TEST(Roster, ANodeThatIsAddedCountsWhenItVotesInAllGroups) {
  auto view = voting({kEast, kEast2, kWest});
  const auto group = [](std::vector<NodeId> nodes) {
    store::Layout layout;
    layout.regions = 3;
    layout.nodes = std::move(nodes);
    return store::configuration_of(layout);
  };
  view.groups = {group({kEast, kEast2, kWest}), group({kEast, kWest})};
  EXPECT_EQ(nodes_of(roster_of(file(), kEast, view)), (std::vector{kEast, kWest})) << "it has not caught up everywhere";
  view.groups[1] = group({kEast, kEast2, kWest});
  EXPECT_EQ(nodes_of(roster_of(file(), kEast, view)), (std::vector{kEast, kEast2, kWest}));
  view.record.mutable_replicas()->clear_nodes();
  EXPECT_EQ(nodes_of(roster_of(file(), kEast, view)), (std::vector{kEast, kEast2, kWest}))
      << "without a change since the beginning those that vote";
}

TEST(Roster, NamesAreOfTheRegionAndTheZoneAlsoOfNodesThatCameLater) {
  EXPECT_EQ(name_of(file(), kEast3), "east/3");
  EXPECT_EQ(name_of(file(), node_id(RegionId{9}, 1)), "region-9/1");
}

TEST(RosterWatch, IsAnotherObjectWhenTheNodesAreOthersAndOnlyThen) {
  const auto config = file();
  auto view = std::make_shared<const store::MembershipView>(voting({kEast, kWest}));
  RosterWatch watch(config, kEast, [&] { return view; });
  const auto first = watch.now();
  EXPECT_EQ(watch.now(), first);
  auto drained = *view;
  drained.record.set_epoch(5);
  view = std::make_shared<const store::MembershipView>(drained);
  EXPECT_EQ(watch.now(), first);
  view = std::make_shared<const store::MembershipView>(voting({kEast, kEast2, kWest}));
  EXPECT_EQ(nodes_of(*watch.now()), (std::vector{kEast, kEast2, kWest}));
}

}  // namespace
}  // namespace evercert::node
