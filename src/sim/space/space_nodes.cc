// SPDX-License-Identifier: Apache-2.0
#include "sim/space/space_nodes.h"

#include "store/coordination_state.h"
#include "store/keys.h"

namespace evercert::sim {
namespace {

constexpr Duration kPatience = 8s;
constexpr std::size_t kWaitingBytes = 300;  // little, so that watchers fall behind

}  // namespace

SpaceNodes::SpaceNodes(World& world, coordination::Bug bug) : world_(world), bug_(bug) {
  world_.on_started = [this](NodeId node) { begin_life(node); };
  for (const NodeId node : world_.nodes()) {
    if (world_.up(node)) begin_life(node);
  }
}

void SpaceNodes::begin_life(NodeId node) {
  Life& life = lives_[node];
  ++life.number;
  life.hub = std::make_unique<coordination::WatchHub>(
      [this, node] { return store::coordination_view(world_.state(node)); }, kWaitingBytes, bug_);
  life.contenders = std::make_shared<coordination::LockTable>(
      [this, node] { return store::coordination_view(world_.state(node)); }, 1, bug_);
  life.proposer = std::make_unique<coordination::Proposer>(node.value, life.number);
  store::Engine& engine = *world_.engine(node);
  engine.on_coordination = [this, node](const coordination::Effects& effects) {
    if (on_applied) on_applied(effects);
    lives_[node].hub->applied(effects);
    lives_[node].contenders->applied(effects);
  };
  engine.on_records_replaced = [this, node, others = std::move(engine.on_records_replaced)] {
    if (others) others();
    lives_[node].hub->replaced();
    lives_[node].contenders->replaced();
  };
}

coordination::WatchHub* SpaceNodes::hub(NodeId node) { return world_.up(node) ? lives_[node].hub.get() : nullptr; }

std::shared_ptr<coordination::LockTable> SpaceNodes::contenders(NodeId node) {
  return world_.up(node) ? lives_[node].contenders : nullptr;
}

void SpaceNodes::submit(NodeId through, coordination::v1::Command command, Answered done) {
  if (!world_.up(through)) return world_.at(50ms, [done] { done(std::nullopt); });
  coordination::Proposer& proposer = *lives_[through].proposer;
  const std::uint64_t sequence = proposer.begin(command);
  store::v1::Command entry;
  entry.set_coordination(command.SerializeAsString());
  auto over = std::make_shared<bool>(false);
  const auto finish = [this, over, done, through, sequence,
                       life = life(through)](std::optional<coordination::v1::Answer> answer) {
    if (std::exchange(*over, true)) return;
    if (lives_[through].number == life) lives_[through].proposer->end(sequence);
    done(std::move(answer));
  };
  world_.engine(through)->submit(kGlobalGroup, entry.SerializeAsString(), world_.local_now(through) + kPatience,
                                 [finish](Result<store::v1::Outcome> outcome) {
                                   coordination::v1::Answer answer;
                                   const bool sound = outcome && answer.ParseFromString(outcome->coordination());
                                   finish(sound ? std::optional(std::move(answer)) : std::nullopt);
                                 });
  world_.wake(through);
  world_.at(kPatience + 1s, [finish] { finish(std::nullopt); });  // the node may have ended meanwhile
}

void SpaceNodes::read(NodeId through, std::function<void(const coordination::View*)> done) {
  if (!world_.up(through)) return world_.at(50ms, [done] { done(nullptr); });
  auto over = std::make_shared<bool>(false);
  world_.engine(through)->freshen(
      kGlobalGroup, std::string(store::kCoordinationRecord), world_.local_now(through) + 4s,
      [this, over, done, through](store::Freshness freshness) {
        if (std::exchange(*over, true)) return;
        const auto view = store::coordination_view(world_.state(through));
        done(freshness == store::Freshness::kFresh ? view.get() : nullptr);
      },
      world_.local_now(through));
  world_.wake(through);
  world_.at(5s, [over, done] {
    if (!std::exchange(*over, true)) done(nullptr);
  });
}

}  // namespace evercert::sim
