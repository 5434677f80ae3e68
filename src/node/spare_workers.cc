// SPDX-License-Identifier: Apache-2.0
#include "node/spare_workers.h"

#include <algorithm>

namespace evercert::node {

SpareWorkers::SpareWorkers(SpareOptions options) {
  const auto add = [&](const std::string& kind, int number, std::vector<std::string> more, NodeId node) {
    Process& process = all_[kind + " " + std::to_string(number)];
    process.arguments = {kind, "--cluster", options.cluster_file, "--region", options.region, "--die-with-parent"};
    for (std::string& argument : more) process.arguments.push_back(std::move(argument));
    process.node = node;
  };
  for (const int number : options.edges) add("edge", number, {"--number", std::to_string(number)}, NodeId{});
  for (const SpareNode& node : options.nodes)
    add("node", node.zone, {"--zone", std::to_string(node.zone), "--data", node.data_dir}, node.id);
}

std::vector<recovery::Worker> SpareWorkers::list() {
  std::vector<recovery::Worker> workers;
  for (auto& [name, one] : all_) workers.push_back({name, one.process.running()});
  return workers;
}

Status SpareWorkers::start(const std::string& name) {
  const auto found = all_.find(name);
  if (found == all_.end()) return fail(Code::kNotFound, "no such worker");
  found->second.wanted = true;
  EC_ASSIGN(found->second.process, os::Child::start(found->second.arguments));
  return {};
}

Status SpareWorkers::stop(const std::string& name) {
  const auto found = all_.find(name);
  if (found == all_.end()) return fail(Code::kNotFound, "no such worker");
  found->second.wanted = false;
  if (found->second.node == NodeId{}) found->second.process.ask_to_end();
  return {};
}

SpareWorkers::Process* SpareWorkers::of(NodeId node) {
  const auto found = std::ranges::find_if(all_, [&](const auto& one) { return one.second.node == node; });
  return found == all_.end() ? nullptr : &found->second;
}

recovery::SpareNodeStanding SpareWorkers::standing(NodeId node) {
  recovery::SpareNodeStanding standing;
  Process* process = of(node);
  if (process == nullptr) return standing;
  standing.wanted = process->wanted;
  standing.runs = process->process.running();
  return standing;
}

void SpareWorkers::end(NodeId node) {
  if (Process* process = of(node); process != nullptr) process->process.ask_to_end();
}

store::v1::Command with_member(const store::MembershipView& view, const SpareNode& node, bool with,
                               const std::string& by, const Warrant& warrant) {
  std::vector<store::v1::Replica> nodes(view.record.replicas().nodes().begin(), view.record.replicas().nodes().end());
  if (nodes.empty() && !view.groups.empty()) {
    for (const NodeId voter : view.groups.front().voters()) nodes.emplace_back().set_node(voter.value);
  }
  std::erase_if(nodes, [&](const auto& replica) { return replica.node() == node.id.value; });
  if (with) {
    auto& added = nodes.emplace_back();
    added.set_node(node.id.value);
    added.set_address(node.address);
    added.set_peer_port(node.peer_port);
    added.set_coordination_port(node.coordination_port);
  }
  std::ranges::sort(nodes, {}, &store::v1::Replica::node);
  store::v1::Command command;
  auto& change = *command.mutable_change_replicas();
  change.set_expected_epoch(view.record.epoch());
  for (auto& replica : nodes) *change.add_nodes() = std::move(replica);
  change.set_by("capacity of " + by);
  change.set_lock(warrant.lock);
  change.set_token(warrant.token);
  change.set_reason(with ? "a spare node, while capacity is needed" : "a spare node, which is not needed any more");
  change.set_request_id("capacity/" + std::to_string(node.id.value) + "/" + std::to_string(view.record.epoch()));
  return command;
}

}  // namespace evercert::node
