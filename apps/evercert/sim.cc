// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/os/system.h"
#include "commands.h"
#include "commit.h"
#include "sim/campaign.h"

namespace evercert::apps {
namespace {

struct Options {
  std::uint64_t seeds = 300;
  std::optional<std::uint64_t> seed;
  std::string scenario, json, bug;
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

int run(const Options& options) {
  sim::Scenario scenario;
  if (!options.scenario.empty()) {
    const auto text = read_file(os::disk(), options.scenario);
    if (!text) return report(text.error());
    const auto loaded = sim::load_scenario(options.scenario, *text);
    if (!loaded) return report(loaded.error());
    scenario = *loaded;
  }
  for (const auto bug : store::kAllBugs) {
    if (store::to_string(bug) == options.bug) scenario.bug = bug;
  }
  if (!options.bug.empty() && scenario.bug == store::Bug::kNone)
    return report(Error{Code::kInvalid, "there is no bug '" + options.bug + "' to be planted"});
  set_log_level(LogLevel::kOff);
  const std::uint64_t first = options.seed.value_or(1);
  const std::uint64_t count = options.seed ? 1 : options.seeds;
  std::printf("evercert %s, commit %s, scenario %s, seeds %llu to %llu\n", EVERCERT_VERSION, EVERCERT_COMMIT,
              scenario.name.c_str(), static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + count - 1));
  const std::string same_again = (options.scenario.empty() ? "" : " --scenario " + options.scenario) +
                                 (options.bug.empty() ? "" : " --bug " + options.bug);
  const Instant begun = os::monotonic_clock().now();
  std::uint64_t done = 0;
  const auto report_run = sim::run_campaign(first, count, scenario, [&](const sim::RunReport& run) {
    ++done;
    if (run.violation) {
      std::printf("\nseed %llu: VIOLATION: %s\n  replay: evercert sim --seed %llu%s\n",
                  static_cast<unsigned long long>(run.seed), run.violation->c_str(),
                  static_cast<unsigned long long>(run.seed), same_again.c_str());
    } else if (done % 25 == 0 || done == count) {
      std::printf("\r%llu of %llu seeds", static_cast<unsigned long long>(done),
                  static_cast<unsigned long long>(count));
      std::fflush(stdout);
    }
    return true;
  });
  const double seconds = static_cast<double>((os::monotonic_clock().now() - begun).count()) / 1e6;
  std::printf(
      "\n%.0f simulated seconds in %.1f s (%.0f a second); %llu issued, %llu revoked, %llu fresh reads, %llu "
      "stale\nfaults:",
      report_run.simulated_seconds, seconds, report_run.simulated_seconds / seconds,
      static_cast<unsigned long long>(report_run.issued), static_cast<unsigned long long>(report_run.revoked),
      static_cast<unsigned long long>(report_run.fresh_reads), static_cast<unsigned long long>(report_run.stale_reads));
  for (const auto& [name, n] : report_run.faults)
    std::printf(" %s %llu,", name.c_str(), static_cast<unsigned long long>(n));
  std::printf("\n");
  print_branches(report_run);
  std::printf("%zu violations\n", report_run.violations.size());
  if (!options.json.empty()) {
    nlohmann::json out{{"seeds", report_run.seeds},
                       {"violations", report_run.violations.size()},
                       {"simulated_seconds", report_run.simulated_seconds},
                       {"seconds", seconds},
                       {"issued", report_run.issued},
                       {"revoked", report_run.revoked},
                       {"fresh_reads", report_run.fresh_reads},
                       {"faults", report_run.faults},
                       {"branches", report_run.branches},
                       {"scenario", scenario.name},
                       {"commit", EVERCERT_COMMIT},
                       {"failing_seeds", nlohmann::json::array()}};
    for (const auto& run : report_run.violations)
      out["failing_seeds"].push_back({{"seed", run.seed}, {"violation", *run.violation}});
    std::ofstream file(options.json);
    file << out.dump(2) << "\n";
    if (!file) return report(Error{Code::kIo, options.json + ": cannot be written"});
  }
  return report_run.violations.empty() ? 0 : 1;
}

}  // namespace

void register_sim(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "sim", "Run whole clusters in simulation; one seed is one run\nExample: evercert sim --seeds 1000");
  auto options = std::make_shared<Options>();
  command->add_option("--seeds", options->seeds, "How many seeds, from 1")->check(CLI::PositiveNumber);
  command->add_option("--seed", options->seed, "This seed alone");
  command->add_option("--scenario", options->scenario, "Scenario file (YAML)");
  command->add_option("--json", options->json, "Write the result here too");
  command->add_option("--bug", options->bug, "Plant a bug that the checkers must find");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace evercert::apps
