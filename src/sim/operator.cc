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
  store::v1::ChangeMembership wanted;
  wanted.set_region(region.value);
  wanted.set_state(state);
  wanted.set_by("operator");
  wanted.set_request_id("request " + std::to_string(++last_request_));
  ++under_way_;
  attempt(wanted);
  if (lasting) world_.at(*lasting, [this, region] { put(region, store::v1::SERVING, std::nullopt); });
}

void Operator::attempt(const store::v1::ChangeMembership& wanted) {
  const NodeId through = world_.nodes()[random_.below(world_.nodes().size())];
  if (!world_.up(through)) return again(wanted);
  store::v1::Command command;
  *command.mutable_change_membership() = wanted;
  command.mutable_change_membership()->set_expected_epoch(world_.engine(through)->membership().epoch().value);
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

void Operator::again(const store::v1::ChangeMembership& wanted) {
  world_.at(kPause, [this, wanted] { attempt(wanted); });
}

void Operator::answered(const store::v1::ChangeMembership& wanted, Result<store::v1::Outcome> outcome) {
  if (!outcome) return again(wanted);
  const RegionId region{static_cast<std::uint8_t>(wanted.region())};
  if (outcome->code() != 0) {
    // Of another epoch it is asked again; what the state forbids, the operator lets be.
    if (outcome->message().find("epoch") != std::string::npos) return again(wanted);
    --under_way_;
    return;
  }
  --under_way_;
  world_.note("OPERATOR region " + std::to_string(region.value) + " is " +
              std::string(store::to_string(wanted.state())) + " in epoch " + std::to_string(outcome->number()));
  // Answers may overtake each other; the epochs do not.
  std::uint64_t& latest = latest_[region];
  if (outcome->number() < latest) return;
  latest = outcome->number();
  standing_.erase(region);
  if (wanted.state() != store::v1::SERVING) standing_[region] = wanted.state();
}

}  // namespace evercert::sim
