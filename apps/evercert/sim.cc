// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/log.h"
#include "base/os/system.h"
#include "commands.h"
#include "commit.h"
#include "interruption.h"
#include "sim/bugs.h"
#include "sim/campaign.h"
#include "sim/lease_model.h"
#include "sim/shrink.h"
#include "sim/space/space_bugs.h"
#include "sim_space.h"

namespace evercert::apps {
namespace {

struct SimOptions {
  std::uint64_t seeds = 300, from = 1;
  std::optional<std::uint64_t> seed;
  std::string scenario, json, bug, shrink;
  std::string scenarios = "tests/scenarios";
  std::uint64_t enough = UINT64_MAX;
  bool timeline = false, model = false, space = false;
};

// How often rare branches were taken: one that never was is one that no run has tested.
void print_branches(const sim::CampaignReport& campaign) {
  std::printf("rare branches:\n");
  for (const auto& [name, count] : campaign.branches) {
    if (count > 0) {
      std::printf("  %10llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
    } else {
      std::printf("  %10s  %s\n", "not taken", name.c_str());
    }
  }
}

// One run once more, told at length, and made smaller if that is wanted.
int run_one(const SimOptions& options, const sim::Scenario& scenario) {
  sim::RunOptions run = sim::draw(scenario, *options.seed);
  if (!options.shrink.empty()) {
    const std::size_t faults = run.faults.size();
    const sim::Shrunk small = sim::shrink(run, 400, [](const sim::Shrunk& best) {
      std::printf("\r%llu runs: %zu faults, %.1f s   ", static_cast<unsigned long long>(best.runs),
                  best.run.faults.size(), static_cast<double>(best.run.duration.count()) / 1e6);
      std::fflush(stdout);
    });
    if (!small.report.violation) {
      std::printf("seed %llu does not fail\n", static_cast<unsigned long long>(*options.seed));
      return 0;
    }
    std::printf("\n%zu of %zu faults are left after %llu runs: %s\n", small.run.faults.size(), faults,
                static_cast<unsigned long long>(small.runs), options.shrink.c_str());
    std::ofstream file(options.shrink);
    file << sim::to_yaml(scenario, small.run);
    if (!file) return report(Error{Code::kIo, options.shrink + ": cannot be written"});
    std::printf("replay: evercert sim --scenario %s --seed %llu --timeline%s\n", options.shrink.c_str(),
                static_cast<unsigned long long>(*options.seed),
                options.bug.empty() ? "" : (" --bug " + options.bug).c_str());
    run = small.run;
  }
  std::vector<sim::TimelineEntry> timeline;
  const sim::RunReport result = sim::run(run, &timeline);
  if (options.timeline) std::printf("%s", sim::to_text(timeline, result.violation).c_str());
  if (result.violation)
    std::printf("seed %llu: VIOLATION: %s\n", static_cast<unsigned long long>(run.seed), result.violation->c_str());
  return result.violation ? 1 : 0;
}

int write_json(const SimOptions& options, const nlohmann::json& out) {
  if (options.json.empty()) return 0;
  std::ofstream file(options.json);
  file << out.dump(2) << "\n";
  file.flush();
  return file ? 0 : report(Error{Code::kIo, options.json + ": cannot be written"});
}

nlohmann::json to_json(const sim::BugFindings& one) {
  return {{"bug", one.bug.name}, {"what", one.bug.what},         {"scenario", one.scenario},    {"seeds", one.seeds},
          {"found", one.found},  {"first_seed", one.first_seed}, {"violations", one.violations}};
}

std::set<std::string> names_in(const std::string& list) {
  std::set<std::string> names;
  std::stringstream text(list);
  for (std::string name; std::getline(text, name, ',');) names.insert(name);
  return names;
}

// How often each planted bug is found, or each of those named.
int run_bugs(const SimOptions& options) {
  std::set<std::string> named = names_in(options.bug == "all" ? "" : options.bug);
  const auto wanted = [&](std::string_view name) { return options.bug == "all" || named.contains(std::string(name)); };
  std::set<std::string> unknown = named;
  for (const auto& bug : store::kPlantedBugs) unknown.erase(std::string(bug.name));
  for (const auto& bug : coordination::kPlantedBugs) unknown.erase(std::string(bug.name));
  if (!unknown.empty())
    return report(Error{Code::kInvalid, "there is no bug '" + *unknown.begin() + "' to be planted"});
  set_log_level(LogLevel::kOff);
  std::printf("evercert %s, commit %s, planted bugs, seeds 1 to %llu\n", EVERCERT_VERSION, EVERCERT_COMMIT,
              static_cast<unsigned long long>(options.seeds));
  std::vector<sim::BugFindings> all;
  nlohmann::json out{{"commit", EVERCERT_COMMIT}, {"seeds", options.seeds}, {"bugs", nlohmann::json::array()}};
  if (options.enough != UINT64_MAX) out["enough"] = options.enough;
  bool every = true;
  const auto enough = [&](const sim::BugFindings& so_far) { return so_far.found < options.enough; };
  const auto take = [&](const sim::BugFindings& findings) {
    std::printf("%-26s %llu of %llu seeds\n", std::string(findings.bug.name).c_str(),
                static_cast<unsigned long long>(findings.found), static_cast<unsigned long long>(findings.seeds));
    std::fflush(stdout);
    every = every && findings.found > 0;
    out["bugs"].push_back(to_json(findings));
    all.push_back(findings);
    return write_json(options, out);
  };
  for (const auto& bug : store::kPlantedBugs) {
    if (!wanted(bug.name)) continue;
    const auto findings = sim::measure(bug, options.seeds, options.scenarios, enough);
    if (!findings) return report(findings.error());
    if (const int written = take(*findings); written != 0) return written;
  }
  for (const auto& bug : coordination::kPlantedBugs) {
    if (!wanted(bug.name)) continue;
    if (const int written = take(sim::measure(bug, options.seeds, enough)); written != 0) return written;
  }
  std::printf("\n%s", sim::to_table(all).c_str());
  return every ? 0 : 1;
}

nlohmann::json to_json(const sim::ModelReport& model) {
  return {{"states", model.states},
          {"steps", model.steps},
          {"complete", model.complete},
          {"violation", model.violation.value_or(std::vector<std::string>{})}};
}

void print_steps(const sim::ModelReport& model) {
  for (const auto& step : model.violation.value_or(std::vector<std::string>{})) std::printf("    %s\n", step.c_str());
}

// The lease rule in every order of events, then with the bugs that it must find.
int run_model(const SimOptions& options) {
  std::printf("evercert %s, commit %s; three regions of one replica\n", EVERCERT_VERSION, EVERCERT_COMMIT);
  nlohmann::json out{
      {"commit", EVERCERT_COMMIT}, {"sound", nlohmann::json::array()}, {"bugs", nlohmann::json::array()}};
  bool all = true;
  for (const sim::ModelBounds& bounds : sim::bounds_of_the_model()) {
    const Instant begun = os::monotonic_clock().now();
    const sim::ModelReport sound = sim::explore(bounds);
    std::printf("%d restarts, %d elections: %llu states, %llu steps, %s, %.1f s: %s\n", bounds.restarts,
                bounds.elections, static_cast<unsigned long long>(sound.states),
                static_cast<unsigned long long>(sound.steps), sound.complete ? "all there are" : "not all there are",
                static_cast<double>((os::monotonic_clock().now() - begun).count()) / 1e6,
                sound.violation ? "VIOLATION" : "a leased region never misses an answered write");
    std::fflush(stdout);
    print_steps(sound);
    all = all && !sound.violation;
    out["sound"].push_back(to_json(sound));
    out["sound"].back()["restarts"] = bounds.restarts;
    out["sound"].back()["elections"] = bounds.elections;
    if (const int written = write_json(options, out); written != 0) return written;
  }
  for (const auto bug : sim::bugs_of_the_model()) {
    const sim::ModelReport found = sim::explore(sim::bounds_of_the_model().back(), bug);
    all = all && found.violation;
    std::printf("planted %-24s %s after %llu states\n", std::string(store::to_string(bug)).c_str(),
                found.violation ? "found" : "NOT FOUND", static_cast<unsigned long long>(found.states));
    std::fflush(stdout);
    print_steps(found);
    out["bugs"].push_back(to_json(found));
    out["bugs"].back()["bug"] = store::to_string(bug);
  }
  const int written = write_json(options, out);
  return all ? written : 1;
}

int run(const SimOptions& options) {
  if (options.model) return run_model(options);
  if (options.bug == "all" || options.bug.contains(',')) return run_bugs(options);
  if (const auto* bug = space_bug(options.bug); bug != nullptr || options.space) {
    if (bug == nullptr && !options.bug.empty())
      return report(Error{Code::kInvalid, "there is no bug '" + options.bug + "' to be planted in the key space"});
    if (!options.scenario.empty() || !options.json.empty() || !options.shrink.empty() || options.timeline)
      return report(Error{Code::kInvalid, "runs of the key space take --seed, --seeds and --bug alone"});
    return run_space_seeds(options.seed.value_or(1), options.seed ? 1 : options.seeds, bug);
  }
  sim::Scenario scenario;
  if (!options.scenario.empty()) {
    const auto text = read_file(os::disk(), options.scenario);
    if (!text) return report(text.error());
    const auto loaded = sim::load_scenario(options.scenario, *text);
    if (!loaded) return report(loaded.error());
    scenario = *loaded;
  }
  for (const auto& planted : store::kPlantedBugs) {
    if (planted.name != options.bug) continue;
    if (options.scenario.empty()) {
      const auto fitting = sim::scenario_for(planted.bug, options.scenarios);
      if (!fitting) return report(fitting.error());
      scenario = *fitting;
    }
    scenario.bug = planted.bug;
  }
  if (!options.bug.empty() && scenario.bug == store::Bug::kNone)
    return report(Error{Code::kInvalid, "there is no bug '" + options.bug + "' to be planted"});
  set_log_level(LogLevel::kOff);
  const std::uint64_t first = options.seed.value_or(options.from);
  const std::uint64_t count = options.seed ? 1 : options.seeds;
  std::printf("evercert %s, commit %s, scenario %s, seeds %llu to %llu\n", EVERCERT_VERSION, EVERCERT_COMMIT,
              scenario.name.c_str(), static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + count - 1));
  if (options.timeline || !options.shrink.empty()) {
    if (!options.seed) return report(Error{Code::kInvalid, "--timeline and --shrink speak of one run: add --seed N"});
    return run_one(options, scenario);
  }
  const std::string same_again = (options.scenario.empty() ? "" : " --scenario " + options.scenario) +
                                 (options.bug.empty() ? "" : " --bug " + options.bug);
  const Instant begun = os::monotonic_clock().now();
  std::uint64_t done = 0;
  const auto interrupted = watch_for_interruption();
  const auto report_run = sim::run_campaign(first, count, scenario, [&](const sim::RunReport& run) {
    ++done;
    if (run.violation) {
      const auto seed = static_cast<unsigned long long>(run.seed);
      std::printf(
          "\nseed %llu: VIOLATION: %s\n  what led to it: evercert sim --seed %llu --shrink small.yaml --timeline%s\n",
          seed, run.violation->c_str(), seed, same_again.c_str());
    } else if (done % 25 == 0 || done == count) {
      std::printf("\r%llu of %llu seeds", static_cast<unsigned long long>(done),
                  static_cast<unsigned long long>(count));
      std::fflush(stdout);
    }
    return !interrupted();
  });
  if (done < count) {
    std::printf("\ninterrupted; to go on: evercert sim --from %llu --seeds %llu%s",
                static_cast<unsigned long long>(first + done), static_cast<unsigned long long>(count - done),
                same_again.c_str());
  }
  const double seconds = static_cast<double>((os::monotonic_clock().now() - begun).count()) / 1e6;
  std::printf(
      "\n%.0f simulated seconds in %.1f s (%.0f a second); %llu issued, %llu revoked, %llu fresh reads, %llu "
      "stale\nfaults:",
      report_run.simulated_seconds, seconds, report_run.simulated_seconds / seconds,
      static_cast<unsigned long long>(report_run.issued), static_cast<unsigned long long>(report_run.revoked),
      static_cast<unsigned long long>(report_run.fresh_reads), static_cast<unsigned long long>(report_run.stale_reads));
  for (const auto& [name, n] : report_run.faults)
    std::printf(" %s %llu,", name.c_str(), static_cast<unsigned long long>(n));
  std::printf("\n%llu operations judged as linearizable or not, %llu histories too long\n",
              static_cast<unsigned long long>(report_run.operations),
              static_cast<unsigned long long>(report_run.undecided));
  print_branches(report_run);
  nlohmann::json silence;
  if (scenario.checkers.write_gap && !report_run.silences.empty()) {
    const auto quantile = [&](double q) {
      const auto& all = report_run.silences;
      return static_cast<double>(all[static_cast<std::size_t>(q * static_cast<double>(all.size() - 1))].count()) / 1e3;
    };
    silence = {{"p50_ms", quantile(0.5)}, {"p99_ms", quantile(0.99)}, {"most_ms", quantile(1)}};
    std::printf(
        "longest time in which a region's group acknowledged no write: p50 %.0f ms, p99 %.0f ms, at most %.0f ms\n",
        quantile(0.5), quantile(0.99), quantile(1));
  }
  std::printf("%zu violations\n", report_run.violations.size());
  if (!options.json.empty()) {
    nlohmann::json out{{"first_seed", first},
                       {"seeds", report_run.seeds},
                       {"violations", report_run.violations.size()},
                       {"simulated_seconds", report_run.simulated_seconds},
                       {"seconds", seconds},
                       {"issued", report_run.issued},
                       {"revoked", report_run.revoked},
                       {"fresh_reads", report_run.fresh_reads},
                       {"other_writes", report_run.other_writes},
                       {"operations_judged", report_run.operations},
                       {"histories_undecided", report_run.undecided},
                       {"faults", report_run.faults},
                       {"branches", report_run.branches},
                       {"scenario", scenario.name},
                       {"commit", EVERCERT_COMMIT},
                       {"failing_seeds", nlohmann::json::array()}};
    if (!silence.is_null()) out["silence"] = silence;
    for (const auto& run : report_run.violations)
      out["failing_seeds"].push_back({{"seed", run.seed}, {"violation", *run.violation}});
    if (const int written = write_json(options, out); written != 0) return written;
  }
  constexpr int kInterrupted = 130;
  if (!report_run.violations.empty()) return 1;
  return done < count ? kInterrupted : 0;
}

}  // namespace

void register_sim(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "sim", "Run whole clusters in simulation; one seed is one run\nExample: evercert sim --seeds 1000");
  auto options = std::make_shared<SimOptions>();
  command->add_option("--seeds", options->seeds, "How many seeds")->check(CLI::PositiveNumber);
  command->add_option("--from", options->from, "The first of them");
  command->add_option("--seed", options->seed, "This seed alone");
  command->add_option("--scenario", options->scenario, "Scenario file (YAML)");
  command->add_option("--json", options->json, "Write the result here too");
  command->add_flag("--space", options->space, "The key space: locks, counters, watchers, compaction");
  command->add_flag("--model", options->model, "The lease rule alone, in every order of events");
  command->add_flag("--timeline", options->timeline, "With --seed: what happened, step by step");
  command->add_option("--shrink", options->shrink, "With --seed: write the smallest run that fails alike to this file");
  command->add_option("--bug", options->bug,
                      "Plant a bug that the checkers must find; 'all': each, one after another; or A,B,...: these");
  command->add_option("--scenarios", options->scenarios, "Where the scenario files for planted bugs are");
  command->add_option("--enough", options->enough, "With several bugs: the next one after so many findings");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace evercert::apps
