// SPDX-License-Identifier: Apache-2.0
#include "sim/campaign.h"

#include "base/probe.h"

namespace evercert::sim {
namespace {

// Everybody is well, every group has a leader that all know, and everybody has applied all there is.
bool settled(World& world) {
  for (std::uint32_t g = 0; g < world.layout().groups(); ++g) {
    std::optional<LogIndex> end;
    for (const NodeId node : world.nodes()) {
      if (!world.up(node) || world.engine(node)->recovering()) return false;
      const auto status = world.engine(node)->group(GroupId{g}).status();
      if (status.leader == NodeId{0} || status.applied != status.last) return false;
      if (status.last != end.value_or(status.last)) return false;
      end = status.last;
    }
  }
  return true;
}

}  // namespace

RunReport run_seed(std::uint64_t seed, const Scenario& scenario) {
  SeededRandom random(seed);
  const RunOptions options = draw(scenario, random);
  World world(options.world, random);
  Checkers checkers(world, scenario.checkers);
  Workload workload(world, checkers, random, options.workload);
  Faults faults(world, random, options.swarm.down);
  Swarm swarm(world, faults, random, options.swarm);
  Plan plan(world, faults, scenario.plan);
  workload.start();
  plan.start();
  if (scenario.swarm) swarm.start();
  world.run_until(world.now() + scenario.duration);
  const Instant limit = world.now() + scenario.quiet;
  if (!checkers.found()) {
    swarm.stop();
    plan.stop();
    faults.end();
    world.run_until(world.now() + 3s);  // writes go on while it heals
    workload.stop();
    checkers.end_of_writes();
    while (!checkers.found() && world.now() < limit) {
      world.run_until(world.now() + 500ms);
      if (world.now() + 14s > limit && settled(world)) break;  // nothing a client waits for is older than 8 s
    }
  }
  if (!checkers.found() && !settled(world)) checkers.violation("no convergence: the cluster does not come to rest");
  checkers.check_end();

  RunReport report;
  report.seed = seed;
  report.violation = checkers.found();
  report.simulated_seconds = static_cast<double>(world.now().us) / 1e6;
  report.events = world.events();
  report.issued = workload.issued();
  report.revoked = workload.revoked();
  report.fresh_reads = workload.fresh_reads();
  report.stale_reads = workload.stale_reads();
  report.faults = faults.counts();
  return report;
}

CampaignReport run_campaign(std::uint64_t first_seed, std::uint64_t seeds, const Scenario& scenario,
                            const std::function<bool(const RunReport&)>& progress) {
  CampaignReport campaign;
  const auto before = Probe::counts();
  for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    RunReport run = run_seed(seed, scenario);
    ++campaign.seeds;
    campaign.simulated_seconds += run.simulated_seconds;
    campaign.issued += run.issued;
    campaign.revoked += run.revoked;
    campaign.fresh_reads += run.fresh_reads;
    campaign.stale_reads += run.stale_reads;
    for (const auto& [name, count] : run.faults) campaign.faults[name] += count;
    const bool go_on = progress(run);
    if (run.violation) campaign.violations.push_back(std::move(run));
    if (!go_on) break;
  }
  for (const auto& [name, count] : Probe::counts()) campaign.branches[name] = count - before.at(name);
  return campaign;
}

}  // namespace evercert::sim
