// SPDX-License-Identifier: Apache-2.0
// load: clients in every region that write down what they saw; judge: whether that can have been so.
#include "demo/load.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/os/system.h"
#include "commands.h"
#include "demo/acme_load.h"
#include "demo/history_file.h"
#include "demo/judge.h"
#include "demo/local_cluster.h"
#include "demo/settle.h"
#include "interruption.h"

namespace evercert::apps {
namespace {

struct LoadCommand {
  std::string cluster, history, acme_dir;
  int seconds = 0;
  demo::LoadOptions rates;
};

// A region that was removed has none.
Result<config::ClusterConfig> regions_with_clients(const std::string& file) {
  EC_ASSIGN(auto config, config::load_cluster(file));
  std::erase_if(config.regions, [](const auto& region) { return region.removed; });
  return config;
}

Status run(const LoadCommand& command, const std::function<bool()>& interrupted) {
  EC_ASSIGN(const auto config, regions_with_clients(command.cluster));
  demo::History history;
  EC_ASSIGN(const auto load, demo::Load::create(config, command.rates, history));
  std::unique_ptr<demo::AcmeLoad> acme;
  if (!command.acme_dir.empty()) {
    EC_ASSIGN(acme, demo::AcmeLoad::create(config, command.acme_dir, demo::kHttp01Port, history));
    acme->start();
  }
  load->start();
  const Instant begun = os::monotonic_clock().now();
  const auto over = [&] {
    return command.seconds > 0 && os::monotonic_clock().now() - begun > command.seconds * Duration{1'000'000};
  };
  while (!interrupted() && !over()) usleep(50'000);
  if (acme) acme->stop();
  load->stop();
  const auto operations = history.operations();
  EC_TRY(demo::write_history(command.history, config, operations));
  std::printf("%zu operations, %zu of them failed; next: evercert judge --cluster %s %s\n", operations.size(),
              history.failures().size(), command.cluster.c_str(), command.history.c_str());
  const auto failures = history.failures();
  for (std::size_t i = 0; i < std::min<std::size_t>(5, failures.size()); ++i)
    std::printf("  failed: %s\n", failures[i].c_str());
  return {};
}

struct JudgeCommand {
  std::string cluster, json;
  std::vector<std::string> histories;
  int patience_seconds = 60;
};

nlohmann::json to_json(const demo::Judged& judged, const config::ClusterConfig& config) {
  nlohmann::json regions = nlohmann::json::object();
  for (std::size_t r = 0; r < judged.regions.size(); ++r) {
    const auto& region = judged.regions[r];
    regions[config.regions[r].name] = {{"operations", region.operations},
                                       {"failed", region.failed},
                                       {"reads_failed", region.reads_failed},
                                       {"longest_write_gap_ms", region.longest_write_gap_ms},
                                       {"last_write_before_end_ms", region.last_write_before_end_ms}};
  }
  return {{"regions", regions},
          {"violations", judged.violations},
          {"undecided", judged.undecided},
          {"certificates", judged.certificates},
          {"unknown_outcomes", judged.unknown_outcomes},
          {"refused", judged.refused},
          {"stale", judged.stale},
          {"acme_orders", judged.acme_orders}};
}

void print(const demo::Judged& judged, const config::ClusterConfig& config) {
  std::printf("  REGION         OPERATIONS   FAILED   OF THEM READS   LONGEST WRITE GAP\n");
  for (std::size_t r = 0; r < judged.regions.size(); ++r) {
    const auto& region = judged.regions[r];
    std::printf("  %-14s %10llu %8llu %15llu %16.0f ms\n", config.regions[r].name.c_str(),
                static_cast<unsigned long long>(region.operations), static_cast<unsigned long long>(region.failed),
                static_cast<unsigned long long>(region.reads_failed), region.longest_write_gap_ms);
  }
  std::printf(
      "%llu certificates (%llu ACME orders), %llu writes of unknown outcome, %llu refused, %llu stale answers\n",
      static_cast<unsigned long long>(judged.certificates), static_cast<unsigned long long>(judged.acme_orders),
      static_cast<unsigned long long>(judged.unknown_outcomes), static_cast<unsigned long long>(judged.refused),
      static_cast<unsigned long long>(judged.stale));
  for (const auto& violation : judged.violations) std::printf("VIOLATION: %s\n", violation.c_str());
  std::printf(judged.violations.empty() ? "Every promise was kept.\n" : "A PROMISE WAS BROKEN.\n");
}

Result<int> run(const JudgeCommand& command, const std::function<bool()>& interrupted) {
  EC_ASSIGN(const auto config, regions_with_clients(command.cluster));
  std::vector<demo::Operation> operations;
  for (const auto& path : command.histories) {
    EC_ASSIGN(auto more, demo::read_history(path, config));
    operations.insert(operations.end(), more.begin(), more.end());
  }
  EC_ASSIGN(const auto client, demo::OperatorClient::create(config));
  EC_ASSIGN(const auto stores,
            demo::stores_once_settled(*client, config, command.patience_seconds * Duration{1'000'000}, interrupted));
  const auto judged = demo::judge(config, operations, stores, os::monotonic_clock().now());
  print(judged, config);
  if (!command.json.empty()) {
    std::ofstream file(command.json);
    file << to_json(judged, config).dump(2) << "\n";
    if (!file) return fail(Code::kIo, command.json + ": cannot be written");
  }
  return judged.violations.empty() ? 0 : 1;
}

}  // namespace

void register_load(CLI::App& app, int& exit_code) {
  auto* load = app.add_subcommand("load",
                                  "Steady clients in every region that write down what they see\nExample: evercert "
                                  "load --cluster cluster.yaml --seconds 60 --history history.jsonl");
  auto command = std::make_shared<LoadCommand>();
  load->add_option("--cluster", command->cluster, "Cluster file")->required();
  load->add_option("--history", command->history, "File to write, one operation a line")->required();
  load->add_option("--seconds", command->seconds, "How long (default: until Ctrl-C)")->check(CLI::NonNegativeNumber);
  load->add_option("--issues", command->rates.issues_per_second, "A second and region")->check(CLI::NonNegativeNumber);
  load->add_option("--reads", command->rates.reads_per_second, "A second and region")->check(CLI::NonNegativeNumber);
  load->add_option("--revocations", command->rates.revocations_per_second, "A second and region")
      ->check(CLI::NonNegativeNumber);
  load->add_option("--acme-dir", command->acme_dir, "Also lego and certbot, with their state in this folder");
  load->callback([command, &exit_code] {
    const auto done = run(*command, watch_for_interruption());
    exit_code = done ? 0 : report(done.error());
  });

  auto* judge = app.add_subcommand("judge",
                                   "Judge histories against each other and against every node's store\nExample: "
                                   "evercert judge --cluster cluster.yaml history.jsonl");
  auto judged = std::make_shared<JudgeCommand>();
  judge->add_option("--cluster", judged->cluster, "Cluster file")->required();
  judge->add_option("--json", judged->json, "Write the judgement here too");
  judge->add_option("--patience", judged->patience_seconds, "Seconds until all nodes must have caught up")
      ->check(CLI::PositiveNumber);
  judge->add_option("histories", judged->histories, "Files that `evercert load` wrote")->required();
  judge->callback([judged, &exit_code] {
    const auto code = run(*judged, watch_for_interruption());
    exit_code = code ? *code : report(code.error());
  });
}

}  // namespace evercert::apps
