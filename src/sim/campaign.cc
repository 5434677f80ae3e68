// SPDX-License-Identifier: Apache-2.0
#include "sim/campaign.h"

#include <algorithm>

#include "base/probe.h"
#include "sim/arbiter.h"

namespace evercert::sim {
namespace {

std::string state_of(World& world, NodeId node, GroupId id) {
  const auto& group = world.engine(node)->group(id);
  const auto status = group.status();
  return node_name(node) + " in group " + std::to_string(id.value) + ": leader " + node_name(status.leader) +
         ", term " + std::to_string(status.term.value) + ", last " + std::to_string(status.last.value) +
         ", committed " + std::to_string(status.commit.value) + ", applied " +
         std::to_string(group.applied_index().value) + ", " + to_text(group.configuration()) +
         (group.changing() ? ", a change under way" : "") + (group.gate_open() ? "" : ", behind its gate");
}

// What it knows of states that are not like its own.
std::string doubts_of(World& world, NodeId node) {
  std::string text =
      node_name(node) + (world.erred(node) ? " has erred" : "") + (world.doubted(node) ? " is held for wrong" : "");
  for (const auto& group : world.engine(node)->status(world.local_now(node))) {
    const std::string in = " in group " + std::to_string(group.group.value);
    for (const NodeId other : group.differing) text += ", differs from " + node_name(other) + in;
    if (group.copied_from != NodeId{0}) text += ", is a copy of " + node_name(group.copied_from) + in;
  }
  return text;
}

// For a reader who wonders why a cluster does not come to rest.
void note_states(World& world) {
  for (const NodeId node : world.nodes()) {
    if (!world.up(node)) world.note(node_name(node) + " is down");
    for (std::uint32_t g = 0; world.up(node) && world.engine(node)->has(GroupId{g}); ++g)
      world.note(state_of(world, node, GroupId{g}));
    if (world.up(node)) world.note(doubts_of(world, node));
  }
}

// What is still to come: everybody is to be well, every group to have a leader that all know and the members that were
// asked for, and everybody to have applied all there is.
std::optional<std::string> unsettled(World& world) {
  for (std::uint32_t g = 0; g < world.layout().groups(); ++g) {
    std::optional<LogIndex> end;
    for (const NodeId node : world.members()) {
      if (!world.up(node)) return node_name(node) + " is down";
      if (world.engine(node)->recovering()) return node_name(node) + " recovers";
      if (!world.engine(node)->has(GroupId{g}))
        return "group " + std::to_string(g) + " has not begun on " + node_name(node);
      const auto& group = world.engine(node)->group(GroupId{g});
      const auto status = group.status();
      const bool members = !group.configuration().joint() && group.configuration().voters() == world.members();
      if (status.leader == NodeId{0} || world.is_witness(status.leader) || group.applied_index() != status.last ||
          !members || status.last != end.value_or(status.last))
        return state_of(world, node, GroupId{g});
      end = status.last;
    }
  }
  return std::nullopt;
}

void record(World& world, Checkers& checkers, std::vector<TimelineEntry>* timeline) {
  if (timeline == nullptr) return;
  world.on_note = [&world, timeline](const std::string& text) { timeline->push_back({world.now(), "", text}); };
  checkers.histories().on_event = [&world, timeline](const std::string& record, const std::string& text) {
    timeline->push_back({world.now(), record, text});
  };
}

bool names(const std::string& text, const std::string& word) {
  const auto letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; };
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const auto end = at + word.size();
    if ((at == 0 || !letter(text[at - 1])) && (end == text.size() || !letter(text[end]))) return true;
  }
  return false;
}

}  // namespace

RunReport run(const RunOptions& options, std::vector<TimelineEntry>* timeline) {
  SeededRandom random(options.seed ^ 0x776f726c64ull);
  World world(options.world, random);
  Checkers checkers(world, options.checkers);
  Workload workload(world, checkers, SeededRandom(options.seed ^ 0x636c69656e7473ull), options.workload);
  Faults faults(world);
  Operator person(world, SeededRandom(options.seed ^ 0x706572736f6eull));
  checkers.set_operator(person);
  Arbiter arbiter(world, faults, person);
  Plan plan(world, faults, person, options.faults);
  record(world, checkers, timeline);
  workload.start();
  plan.start();
  arbiter.start();
  world.run_until(world.now() + options.duration);
  Instant limit = world.now() + options.quiet;
  const Instant last = limit + 2 * options.quiet;
  if (!checkers.found()) {
    plan.stop();
    person.stop();
    faults.end();
    world.note("all faults end");
    world.run_until(world.now() + 3s);  // writes go on while it heals
    workload.stop();
    checkers.end_of_writes();
    while (!checkers.found() && world.now() < limit) {
      world.run_until(world.now() + 500ms);
      // What an operator asked for begins when somebody has heard it: it asks through nodes that may know nothing yet.
      if ((!person.idle() || !arbiter.idle()) && world.now() + 14s > limit && limit < last) limit = limit + 500ms;
      if (world.now() + 14s > limit && !unsettled(world) && person.idle() && arbiter.idle() &&
          checkers.membership_finished())
        break;  // nothing a client waits for is older than 8 s
    }
  }
  auto restless = unsettled(world);
  // A leader may have set out for home just then.
  for (int more = 0; more < 20 && !checkers.found() && restless; ++more, restless = unsettled(world))
    world.run_until(world.now() + 500ms);
  const bool regions_moved = options.world.added > 0 || std::ranges::any_of(options.faults, [](const auto& fault) {
                               return fault.kind == PlannedFault::Kind::kRemoveRegion;
                             });
  if (!checkers.found() && !restless && regions_moved) {
    workload.last_round();
    world.run_until(world.now() + 8s);
    if (const auto region = workload.idle_region(person); region && !checkers.found())
      checkers.violation("no service: region " + std::to_string(region->value) +
                         " neither issues nor reads freshly, though nothing is wrong any more");
    for (int more = 0; more < 20 && !checkers.found() && (restless = unsettled(world)); ++more)
      world.run_until(world.now() + 500ms);
  }
  if (!checkers.found() && restless) {
    checkers.violation("no convergence: the cluster does not come to rest: " + *restless);
  }
  for (const NodeId node : world.nodes()) world.forget_rot(node);  // what nobody has come upon yet
  if (!checkers.found()) checkers.check_end();
  if (checkers.found()) note_states(world);

  RunReport report;
  report.seed = options.seed;
  report.violation = checkers.found();
  report.simulated_seconds = static_cast<double>(world.now().us) / 1e6;
  report.events = world.events();
  report.issued = workload.issued();
  report.revoked = workload.revoked();
  report.fresh_reads = workload.fresh_reads();
  report.stale_reads = workload.stale_reads();
  report.other_writes = workload.other_writes();
  report.operations = checkers.histories().operations();
  report.undecided = checkers.undecided();
  report.faults = faults.counts();
  report.longest_silence = checkers.longest_silence();
  return report;
}

RunReport run_seed(std::uint64_t seed, const Scenario& scenario) { return run(draw(scenario, seed)); }

std::string to_text(const std::vector<TimelineEntry>& timeline, const std::optional<std::string>& violation) {
  std::string text;
  for (const TimelineEntry& entry : timeline) {
    if (!entry.record.empty() && (!violation || !names(*violation, entry.record))) continue;
    char at[32];
    std::snprintf(at, sizeof at, "%10.3f s  ", static_cast<double>(entry.at.us) / 1e6);
    text += at;
    if (!entry.record.empty()) text += "  " + entry.record + ": ";
    text += entry.text + "\n";
  }
  return text;
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
    campaign.other_writes += run.other_writes;
    campaign.operations += run.operations;
    campaign.undecided += run.undecided;
    for (const auto& [name, count] : run.faults) campaign.faults[name] += count;
    campaign.silences.push_back(run.longest_silence);
    const bool go_on = progress(run);
    if (run.violation) campaign.violations.push_back(std::move(run));
    if (!go_on) break;
  }
  std::ranges::sort(campaign.silences);
  for (const auto& [name, count] : Probe::counts()) campaign.branches[name] = count - before.at(name);
  return campaign;
}

}  // namespace evercert::sim
