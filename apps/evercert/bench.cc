// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"

#include <CLI/CLI.hpp>

#include "commands.h"
#include "interruption.h"

namespace evercert::apps {
void register_bench(CLI::App& app, int& exit_code) {
  std::string names;
  for (const auto& name : bench::benchmark_names()) names += " " + name;
  auto* command = app.add_subcommand(
      "bench", "Measure this machine, Evercert on it, and peers beside it\nExample: evercert bench issue --seconds 6");
  auto options = std::make_shared<bench::BenchOptions>();
  options->peers = "build/peers";
  command->add_option("names", options->names, "Benchmarks; all when none is named. There are:" + names);
  command->add_option("--json", options->json_file, "Write the figures here too");
  command->add_option("--seconds", options->seconds, "Of each measurement")->check(CLI::Range(1, 600));
  command->add_option("--runs", options->runs, "Of each comparison, each side in turn; the median is told")
      ->check(CLI::Range(1, 100));
  command->add_option("--at-once", options->at_once, "Requests under way in comparisons, instead of the usual ones")
      ->delimiter(',')
      ->check(CLI::Range(1, 10'000));
  command->add_option("--certificates", options->certificates, "Of the benchmarks memory and scale")
      ->check(CLI::PositiveNumber);
  command->add_option("--dir", options->dir, "Folder to use and keep (default: a temporary one)");
  command->add_option("--peers", options->peers, "Folder with step-ca, cfssl and acmeload");
  command->callback([options, &exit_code] {
    const auto code = bench::run_bench(*options, watch_for_interruption());
    exit_code = code ? *code : report(code.error());
  });
}

}  // namespace evercert::apps
