// SPDX-License-Identifier: Apache-2.0
#include "store/configuration.h"

#include <algorithm>
#include <set>

#include "store/proto/records.pb.h"

namespace evercert::store {
namespace {

Layout layout(std::vector<NodeId> nodes, std::uint8_t regions) {
  std::sort(nodes.begin(), nodes.end());
  return {std::move(nodes), regions};
}

template <class Numbers>
std::vector<NodeId> nodes_of(const Numbers& numbers) {
  std::vector<NodeId> nodes;
  for (const auto number : numbers) nodes.push_back(NodeId{number});
  return nodes;
}

void append(std::string& text, const char* what, const std::vector<NodeId>& nodes) {
  if (nodes.empty()) return;
  text += (text.empty() ? "" : ", ") + std::string(what);
  for (const NodeId node : nodes) text += " " + std::to_string(node.value);
}

}  // namespace

bool Configuration::votes(NodeId node) const {
  return std::any_of(halves.begin(), halves.end(), [&](const Layout& half) { return half.contains(node); });
}

bool Configuration::votes_everywhere(NodeId node) const {
  return std::all_of(halves.begin(), halves.end(), [&](const Layout& half) { return half.contains(node); });
}

bool Configuration::learns(NodeId node) const {
  return std::find(learners.begin(), learners.end(), node) != learners.end();
}

std::vector<NodeId> Configuration::members() const {
  std::set<NodeId> all(learners.begin(), learners.end());
  for (const Layout& half : halves) all.insert(half.nodes.begin(), half.nodes.end());
  return {all.begin(), all.end()};
}

bool Configuration::alone_in_region(NodeId node) const {
  return std::all_of(halves.begin(), halves.end(),
                     [&](const Layout& half) { return half.contains(node) && half.replicas_in(region_of(node)) == 1; });
}

Configuration configuration_of(const Layout& voters, std::string lineage) {
  return {{layout(voters.nodes, voters.regions)}, {}, std::move(lineage)};
}

Members members_of(const Configuration& configuration) {
  return {configuration.voters(), configuration.joint() ? configuration.halves.back().nodes : std::vector<NodeId>{},
          configuration.learners};
}

Configuration configuration_of(Members members, std::uint8_t regions, std::string lineage) {
  Configuration configuration;
  configuration.halves.push_back(layout(std::move(members.voters), regions));
  if (!members.outgoing.empty()) configuration.halves.push_back(layout(std::move(members.outgoing), regions));
  configuration.learners = std::move(members.learners);
  std::sort(configuration.learners.begin(), configuration.learners.end());
  configuration.lineage = std::move(lineage);
  return configuration;
}

Configuration after(const Configuration& configuration, const MembersChange& change) {
  if (change.lineage != configuration.lineage) return configuration;
  Configuration next = configuration;
  const auto drop = [&](std::vector<NodeId>& nodes, const std::vector<NodeId>& gone) {
    std::erase_if(nodes, [&](NodeId node) { return std::find(gone.begin(), gone.end(), node) != gone.end(); });
  };
  if (configuration.joint()) {
    next.halves.pop_back();
    return next;
  }
  if (change.joint) next.halves.push_back(configuration.halves.front());
  std::vector<NodeId>& voters = next.halves.front().nodes;
  drop(voters, change.removed);
  voters.insert(voters.end(), change.voters.begin(), change.voters.end());
  std::sort(voters.begin(), voters.end());
  drop(next.learners, change.removed);
  drop(next.learners, change.voters);
  next.learners.insert(next.learners.end(), change.learners.begin(), change.learners.end());
  std::sort(next.learners.begin(), next.learners.end());
  return next;
}

std::string encode(const Configuration& configuration) {
  const Members members = members_of(configuration);
  v1::GroupConfiguration record;
  for (const NodeId node : members.voters) record.add_voters(node.value);
  for (const NodeId node : members.outgoing) record.add_outgoing(node.value);
  for (const NodeId node : members.learners) record.add_learners(node.value);
  record.set_lineage(configuration.lineage);
  return record.SerializeAsString();
}

Result<Configuration> decode_configuration(std::string_view bytes, std::uint8_t regions) {
  v1::GroupConfiguration record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || record.voters().empty())
    return fail(Code::kCorrupt, "the record of a group's members does not parse");
  // A peer may say so too: a number that is no node's would go on into sets of regions.
  const auto no_node = [](std::uint64_t number) {
    return number >= 65536 || number % 256 == 0 || number / 256 == 0 || number / 256 > kMostRegions;
  };
  if (std::ranges::any_of(record.voters(), no_node) || std::ranges::any_of(record.outgoing(), no_node) ||
      std::ranges::any_of(record.learners(), no_node))
    return fail(Code::kCorrupt, "the record of a group's members names what is no node");
  return configuration_of({nodes_of(record.voters()), nodes_of(record.outgoing()), nodes_of(record.learners())},
                          regions, record.lineage());
}

std::string to_text(const Configuration& configuration) {
  std::string text;
  append(text, "voters", configuration.voters());
  if (configuration.joint()) append(text, "until the change is done also", configuration.halves.back().nodes);
  append(text, "learners", configuration.learners);
  return text;
}

}  // namespace evercert::store
