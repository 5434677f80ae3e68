// SPDX-License-Identifier: Apache-2.0
#include "sim/space/space_run.h"

#include <array>
#include <memory>
#include <vector>

#include "coordination/keyspace.h"
#include "sim/space/lock_client.h"
#include "sim/space/space_clients.h"
#include "store/coordination_state.h"

namespace evercert::sim {
namespace {

constexpr Duration kHostile = 20s, kQuiet = 15s;

void power_off(World& world, NodeId node) { world.end(node, World::End::kMachine); }

// Nodes lose power and come back, regions are cut off and heal.
class Trouble {
 public:
  Trouble(World& world, SeededRandom& random) : world_(world), random_(random) {}
  void step() {
    if (!running_) return;
    const NodeId node = world_.nodes()[random_.below(world_.nodes().size())];
    if (random_.chance(0.5)) {
      if (world_.up(node)) power_off(world_, node);
      world_.at(random_.between(100ms, 3s), [this, node] { world_.start(node); });
    } else {
      for (const NodeId other : world_.nodes()) {
        if (region_of(other) == region_of(node)) continue;
        world_.cut(node, other);
        if (random_.chance(0.7)) world_.cut(other, node);
      }
      world_.at(random_.between(200ms, 4s), [this] { world_.heal(); });
    }
    world_.at(random_.between(300ms, 4s), [this] { step(); });
  }
  void end() {
    running_ = false;
    world_.heal();
    for (const NodeId node : world_.nodes()) world_.start(node);
  }

 private:
  World& world_;
  SeededRandom& random_;
  bool running_ = true;
};

// One way of compaction to a run: a client's, or a policy's of the cluster.
coordination::CompactionPolicy draw_policy(SeededRandom& random) {
  using Mode = coordination::CompactionPolicy::Mode;
  coordination::CompactionPolicy policy;
  policy.mode = std::array{Mode::kOff, Mode::kPeriodic, Mode::kRevision}[random.below(3)];
  policy.retention = random.between(1s, 6s);
  policy.revisions = 5 + static_cast<std::int64_t>(random.below(200));
  policy.interval = 500ms;
  return policy;
}

void check_count(World& world, SpaceChecker& checker) {
  const auto view = store::coordination_view(world.state(world.nodes().front()));
  const auto count = coordination::find_key(*view, "count/it");
  if (count && *count) checker.count_is(std::stoll((*count)->value()));
}

}  // namespace

SpaceReport run_space(std::uint64_t seed, coordination::Bug bug) {
  SeededRandom random(seed);
  WorldOptions options = WorldOptions::draw(random);
  options.spares = 0;  // a node that is no member tells its watchers nothing
  options.coordination_bug = bug;
  options.compaction = draw_policy(random);
  const bool by_policy = options.compaction.mode != coordination::CompactionPolicy::Mode::kOff;
  World world(options, random);
  SpaceChecker checker(world);
  if (by_policy) checker.keeps(options.compaction);
  SpaceNodes nodes(world, bug);
  nodes.on_applied = [&](const coordination::Effects& effects) { checker.applied(effects); };
  world.on_refused = [&](NodeId, const Error& error) { checker.violation("a node stops: " + error.message); };
  std::vector<std::unique_ptr<LockClient>> lockers;
  for (int i = 0; i < 4; ++i) {
    lockers.push_back(std::make_unique<LockClient>(i, i % 4 == 3 ? "lock/b" : "lock/a", world, nodes, checker, random));
  }
  std::vector<std::unique_ptr<SpaceClient>> clients;
  for (int i = 0; i < 2; ++i) clients.push_back(std::make_unique<Writer>(i, world, nodes, checker, random));
  for (int i = 0; i < 3; ++i) clients.push_back(std::make_unique<Counter>(world, nodes, checker, random));
  if (!by_policy) clients.push_back(std::make_unique<Compactor>(world, nodes, checker, random));
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (const char* prefix : {"w/", "w/1", "lock/", "count/"})
    watchers.push_back(std::make_unique<Watcher>(prefix, world, nodes, checker, random));
  Trouble trouble(world, random);

  for (auto& client : lockers) client->start();
  for (auto& client : clients) client->step();
  for (auto& watcher : watchers) watcher->step();
  world.at(2s, [&] { trouble.step(); });
  world.run_until(world.now() + kHostile);
  trouble.end();
  const auto before = checker.acquisitions();
  if (!checker.found()) world.run_until(world.now() + kQuiet);
  if (!checker.found() && checker.acquisitions() == before) checker.violation("nobody gets the lock any more");
  for (auto& client : lockers) client->stop();
  for (auto& client : clients) client->stop();
  if (!checker.found()) world.run_until(world.now() + 10s);  // what is under way comes to its end
  for (auto& watcher : watchers) watcher->stop();
  if (!checker.found()) {
    for (auto& watcher : watchers) watcher->finish();
    checker.check_acknowledged();
    checker.check_compacted();
    check_count(world, checker);
  }
  SpaceReport report;
  report.violation = checker.found();
  report.acquisitions = checker.acquisitions();
  report.successes = checker.successes();
  report.revisions = checker.last_revision();
  report.compacted = by_policy ? checker.compacted() : 0;
  report.simulated_seconds = static_cast<double>(world.now().us) / 1e6;
  return report;
}

}  // namespace evercert::sim
