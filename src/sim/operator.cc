// SPDX-License-Identifier: Apache-2.0
#include "sim/operator.h"

#include <algorithm>
#include <utility>

#include "store/membership.h"
#include "store/membership_board.h"

namespace evercert::sim {
namespace {

constexpr Duration kPatience = 4s;
constexpr Duration kPause = 300ms;

}  // namespace

void Operator::put(RegionId region, store::v1::RegionState state, std::optional<Duration> lasting) {
  if (!running_) return;
  order(region, state);
  if (lasting) world_.at(*lasting, [this, region] { put(region, store::v1::SERVING, std::nullopt); });
}

void Operator::order(RegionId region, store::v1::RegionState state) {
  store::v1::Command command;
  auto& wanted = *command.mutable_change_membership();
  wanted.set_region(region.value);
  wanted.set_state(state);
  wanted.set_by("operator");
  wanted.set_request_id("request " + std::to_string(++last_request_));
  ++under_way_;
  attempt(command);
}

void Operator::want(const std::vector<NodeId>& members) {
  if (!running_) return;
  store::v1::Command command;
  auto& wanted = *command.mutable_change_replicas();
  for (const NodeId node : members) wanted.add_nodes()->set_node(node.value);
  wanted.set_by("operator");
  wanted.set_request_id("request " + std::to_string(++last_request_));
  ++under_way_;
  attempt(command);
}

void Operator::add(RegionId region) {
  if (!running_) return;
  store::v1::Command command;
  auto& wanted = *command.mutable_found_region();
  wanted.set_region(region.value);
  wanted.set_name("added " + std::to_string(region.value));
  wanted.set_witness(world_.layout().is_witness(region));
  wanted.set_by("operator");
  wanted.set_request_id("request " + std::to_string(++last_request_));
  ++under_way_;
  attempt(command);
}

void Operator::remove(RegionId region) {
  if (!running_) return;
  // Where two are left, one whose disk is damaged by then is a quorum lost.
  std::vector<NodeId> left = world_.members();
  std::erase_if(left, [region](NodeId node) { return region_of(node) == region; });
  if (left.size() < 3 && std::ranges::any_of(left, [this](NodeId node) { return world_.damaged(node); })) return;
  world_.region_leaves(region);
  put(region, store::v1::REMOVED, std::nullopt);
}

bool Operator::removed(RegionId region) const {
  const auto standing = standing_.find(region);
  return standing != standing_.end() && standing->second == store::v1::REMOVED;
}

// A region that was added keeps its nodes, though the list is from before; one that was removed has none.
void Operator::with_the_regions_of_now(store::v1::ChangeReplicas& wanted) const {
  auto& nodes = *wanted.mutable_nodes();
  const auto gone = [this](const auto& replica) { return removed(region_of(NodeId{replica.node()})); };
  nodes.erase(std::remove_if(nodes.begin(), nodes.end(), gone), nodes.end());
  for (std::uint8_t r = static_cast<std::uint8_t>(world_.options().regions + 1); r <= world_.layout().regions; ++r) {
    const bool named = std::ranges::any_of(
        wanted.nodes(), [&](const auto& replica) { return region_of(NodeId{replica.node()}) == RegionId{r}; });
    for (std::uint8_t z = 1; !named && !removed(RegionId{r}) && z <= world_.options().zones; ++z)
      wanted.add_nodes()->set_node(node_id(RegionId{r}, z).value);
  }
}

void Operator::attempt(const store::v1::Command& wanted) {
  const NodeId through = world_.nodes()[random_.below(world_.nodes().size())];
  if (!world_.up(through)) return again(wanted);
  store::v1::Command command = wanted;
  if (command.has_change_replicas()) {
    auto& replicas = *command.mutable_change_replicas();
    with_the_regions_of_now(replicas);
    // Where two are left, one whose disk is damaged or lost by then is a quorum lost: a person looks first.
    const bool ill = std::ranges::any_of(replicas.nodes(), [this](const auto& replica) {
      return !world_.up(NodeId{replica.node()}) || world_.damaged(NodeId{replica.node()});
    });
    if (replicas.nodes_size() < 3 && ill) return again(wanted);
  }
  auto voters = store::wanted_voters(world_.engine(through)->membership().view()->record);
  if (voters.empty()) voters = world_.engine(through)->group(kGlobalGroup).configuration().voters();
  if (command.has_found_region()) {
    // As the API does.
    if (!members_settled(*world_.engine(through)->membership().view())) return again(wanted);
    for (const NodeId node : voters) command.mutable_found_region()->add_voters(node.value);
  }
  if (command.change_membership().state() == store::v1::REMOVED) {
    for (const NodeId node : voters) {
      if (region_of(node).value == command.change_membership().region()) continue;
      command.mutable_change_membership()->add_nodes()->set_node(node.value);
    }
  }
  const std::uint64_t epoch = world_.engine(through)->membership().epoch().value;
  if (command.has_change_membership()) command.mutable_change_membership()->set_expected_epoch(epoch);
  if (command.has_change_replicas()) command.mutable_change_replicas()->set_expected_epoch(epoch);
  if (command.has_found_region()) command.mutable_found_region()->set_expected_epoch(epoch);
  // A node that goes down answers nobody: the operator looks at the clock instead.
  auto settled = std::make_shared<bool>(false);
  world_.engine(through)->submit(kGlobalGroup, command.SerializeAsString(), world_.local_now(through) + kPatience,
                                 [this, settled, wanted, command](Result<store::v1::Outcome> outcome) {
                                   if (!std::exchange(*settled, true)) answered(wanted, command, std::move(outcome));
                                 });
  world_.at(2 * kPatience, [this, settled, wanted] {
    if (!std::exchange(*settled, true)) again(wanted);
  });
  world_.wake(through);
}

void Operator::again(const store::v1::Command& wanted) {
  world_.at(kPause, [this, wanted] { attempt(wanted); });
}

void Operator::answered(const store::v1::Command& wanted, const store::v1::Command& command,
                        Result<store::v1::Outcome> outcome) {
  if (!outcome) return again(wanted);
  // Of another epoch it is asked again; what the state forbids, the operator lets be.
  if (outcome->code() != 0 && outcome->message().find("its epoch is") != std::string::npos) return again(wanted);
  // The list was made before it was heard that a region is gone: it is made anew without it.
  if (outcome->code() != 0 && wanted.has_change_replicas() &&
      outcome->message().find("the region was removed") != std::string::npos)
    return again(wanted);
  const auto& change = wanted.change_membership();
  if (outcome->code() != 0 && change.state() == store::v1::REMOVED && running_ &&
      outcome->message().find("the region serves") != std::string::npos) {
    put(RegionId{static_cast<std::uint8_t>(change.region())},
        random_.chance(0.5) ? store::v1::FENCED : store::v1::DRAINING, std::nullopt);
    return again(wanted);
  }
  --under_way_;
  if (outcome->code() != 0) return world_.note("OPERATOR is refused: " + outcome->message());
  if (command.has_change_membership()) done(command.change_membership(), outcome->number());
  if (command.has_change_replicas()) done(command.change_replicas(), outcome->number());
  if (command.has_found_region()) done(command.found_region(), outcome->number());
}

// Answers may overtake each other; the epochs do not.
void Operator::done(const store::v1::ChangeMembership& wanted, std::uint64_t epoch) {
  const RegionId region{static_cast<std::uint8_t>(wanted.region())};
  world_.note("OPERATOR region " + std::to_string(region.value) + " is " +
              std::string(store::to_string(wanted.state())) + " in epoch " + std::to_string(epoch));
  std::uint64_t& latest = latest_[region];
  if (epoch < latest) return;
  latest = epoch;
  standing_.erase(region);
  if (wanted.state() != store::v1::SERVING) standing_[region] = wanted.state();
  if (wanted.state() != store::v1::REMOVED) return;
  world_.region_removed(region);
  if (epoch < latest_members_) return;
  latest_members_ = epoch;
  std::vector<NodeId> members;
  for (const auto& replica : wanted.nodes()) members.push_back(NodeId{replica.node()});
  world_.set_members(std::move(members));
}

void Operator::done(const store::v1::ChangeReplicas& wanted, std::uint64_t epoch) {
  std::vector<NodeId> members;
  for (const auto& replica : wanted.nodes()) members.push_back(NodeId{replica.node()});
  std::string names;
  for (const NodeId node : members) names += " " + node_name(node);
  world_.note("OPERATOR members are to be" + names + " in epoch " + std::to_string(epoch));
  if (epoch < latest_members_) return;
  latest_members_ = epoch;
  world_.set_members(std::move(members));
}

void Operator::done(const store::v1::FoundRegion& wanted, std::uint64_t epoch) {
  world_.note("OPERATOR region " + std::to_string(wanted.region()) + " is one of the cluster's in epoch " +
              std::to_string(epoch));
  world_.region_added();
  running_ = true;  // its nodes are wanted too, however late it is
  want(world_.members());
}

}  // namespace evercert::sim
