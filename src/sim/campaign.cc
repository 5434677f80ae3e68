// SPDX-License-Identifier: Apache-2.0
#include "sim/campaign.h"

#include <yaml-cpp/yaml.h>

namespace evercert::sim {
namespace {

std::map<std::string, double FaultOptions::*> fault_names() {
  return {{"region_alone", &FaultOptions::region_alone},
          {"one_way", &FaultOptions::one_way},
          {"heal", &FaultOptions::heal},
          {"region_dies", &FaultOptions::region_dies},
          {"node_dies", &FaultOptions::node_dies},
          {"torn_write", &FaultOptions::torn_write},
          {"disk_lost", &FaultOptions::disk_lost}};
}

// Everybody is well and every group has a leader that all know.
bool settled(World& world) {
  for (std::uint32_t g = 0; g < world.layout().groups(); ++g) {
    for (const NodeId node : world.nodes()) {
      if (!world.up(node) || world.engine(node)->recovering()) return false;
      const auto status = world.engine(node)->group(GroupId{g}).status();
      if (status.leader == NodeId{0} || status.applied != status.last) return false;
    }
  }
  return true;
}

std::string place(const std::string& path, const YAML::Mark& mark) {
  return path + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": ";
}

Status read_field(const std::string& path, const std::string& key, const YAML::Node& value, Scenario& scenario) {
  const auto seconds = [&] { return Duration{static_cast<std::int64_t>(value.as<double>() * 1e6)}; };
  if (key == "name") scenario.name = value.as<std::string>();
  else if (key == "seconds") scenario.duration = seconds();
  else if (key == "quiet_seconds") scenario.quiet = seconds();
  else if (key == "zones") scenario.zones = static_cast<std::uint8_t>(value.as<int>());
  else if (key == "wan") scenario.wan = value.as<bool>();
  else if (key == "loss") scenario.loss = value.as<double>();
  else if (key == "late") scenario.late = value.as<double>();
  else if (key == "drift") scenario.drift = value.as<double>();
  else if (key == "faults" && value.IsScalar()) scenario.faults = value.as<bool>();
  else if (key == "faults" && value.IsMap()) {
    for (const auto& entry : value) {
      const auto name = entry.first.as<std::string>();
      if (!fault_names().contains(name)) {
        return fail(Code::kInvalid, place(path, entry.first.Mark()) + "unknown fault '" + name + "'");
      }
      scenario.fault_weights[name] = entry.second.as<double>();
    }
  } else {
    return fail(Code::kInvalid, place(path, value.Mark()) + "unknown field '" + key +
                                    "'; known: name, seconds, quiet_seconds, zones, wan, loss, late, drift, faults");
  }
  return {};
}

}  // namespace

Result<Scenario> load_scenario(const std::string& path, const std::string& text) {
  Scenario scenario;
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) return fail(Code::kInvalid, path + ":1:1: a scenario is a map of fields");
    for (const auto& entry : root) EC_TRY(read_field(path, entry.first.as<std::string>(), entry.second, scenario));
  } catch (const YAML::Exception& error) {
    return fail(Code::kInvalid, place(path, error.mark) + error.msg);
  }
  if (scenario.zones && *scenario.zones != 1 && *scenario.zones != 3) {
    return fail(Code::kInvalid, path + ": zones must be 1 or 3");
  }
  return scenario;
}

RunReport run_seed(std::uint64_t seed, const Scenario& scenario) {
  SeededRandom random(seed);
  WorldOptions options = WorldOptions::draw(random);
  if (scenario.zones) options.zones = *scenario.zones;
  if (scenario.wan) options.wan = *scenario.wan;
  if (scenario.loss) options.loss = *scenario.loss;
  if (scenario.late) options.late = *scenario.late;
  if (scenario.drift) options.drift = *scenario.drift;
  options.bug = scenario.bug;
  FaultOptions fault_options = FaultOptions::draw(random);
  for (const auto& [name, weight] : scenario.fault_weights) fault_options.*fault_names().at(name) = weight;
  WorkloadOptions workload_options;
  workload_options.pause_max = random.between(10ms, 120ms);
  workload_options.revocations = random.uniform();

  World world(options, random);
  Checkers checkers(world);
  Workload workload(world, checkers, random, workload_options);
  Faults faults(world, random, fault_options);
  workload.start();
  if (scenario.faults) faults.start();
  world.run_until(world.now() + scenario.duration);
  const Instant limit = world.now() + scenario.quiet;
  if (!checkers.found()) {
    faults.end();
    world.run_until(world.now() + 3s);  // writes go on while it heals
    workload.stop();
    while (!checkers.found() && world.now() < limit) {
      world.run_until(world.now() + 500ms);
      if (world.now() + 14s > limit && settled(world)) break;  // nothing a client waits for is older than 8 s
    }
  }
  if (!checkers.found() && !settled(world)) checkers.violation("no convergence: the cluster does not come to rest");
  if (!checkers.found()) checkers.check_durable();
  if (!checkers.found()) checkers.check_convergence();

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
  return campaign;
}

}  // namespace evercert::sim
