// SPDX-License-Identifier: Apache-2.0
#include "sim/operator.h"

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
  store::v1::Command command;
  auto& wanted = *command.mutable_change_membership();
  wanted.set_region(region.value);
  wanted.set_state(state);
  wanted.set_by("operator");
  wanted.set_request_id("request " + std::to_string(++last_request_));
  ++under_way_;
  attempt(command);
  if (lasting) world_.at(*lasting, [this, region] { put(region, store::v1::SERVING, std::nullopt); });
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

void Operator::attempt(const store::v1::Command& wanted) {
  const NodeId through = world_.nodes()[random_.below(world_.nodes().size())];
  if (!world_.up(through)) return again(wanted);
  store::v1::Command command = wanted;
  const std::uint64_t epoch = world_.engine(through)->membership().epoch().value;
  if (command.has_change_membership()) command.mutable_change_membership()->set_expected_epoch(epoch);
  if (command.has_change_replicas()) command.mutable_change_replicas()->set_expected_epoch(epoch);
  // A node that goes down answers nobody: the operator looks at the clock instead.
  auto settled = std::make_shared<bool>(false);
  world_.engine(through)->submit(kGlobalGroup, command.SerializeAsString(), world_.local_now(through) + kPatience,
                                 [this, settled, wanted](Result<store::v1::Outcome> outcome) {
                                   if (!std::exchange(*settled, true)) answered(wanted, std::move(outcome));
                                 });
  world_.at(2 * kPatience, [this, settled, wanted] {
    if (!std::exchange(*settled, true)) again(wanted);
  });
  world_.wake(through);
}

void Operator::again(const store::v1::Command& wanted) {
  world_.at(kPause, [this, wanted] { attempt(wanted); });
}

void Operator::answered(const store::v1::Command& wanted, Result<store::v1::Outcome> outcome) {
  if (!outcome) return again(wanted);
  // Of another epoch it is asked again; what the state forbids, the operator lets be.
  if (outcome->code() != 0 && outcome->message().find("epoch") != std::string::npos) return again(wanted);
  --under_way_;
  if (outcome->code() != 0) return;
  if (wanted.has_change_membership()) done(wanted.change_membership(), outcome->number());
  if (wanted.has_change_replicas()) done(wanted.change_replicas(), outcome->number());
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

}  // namespace evercert::sim
