// SPDX-License-Identifier: Apache-2.0
#include "demo/demo.h"

#include <CLI/CLI.hpp>

#include "commands.h"
#include "interruption.h"

namespace evercert::apps {
void register_demo(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "demo", "Three regions on this machine, one of them killed\nExample: evercert demo --json result.json");
  auto options = std::make_shared<demo::DemoOptions>();
  auto wan = std::make_shared<std::string>("on");
  command->add_option("--scenario", options->scenario, "region-loss");
  command->add_option("--json", options->json_file, "Write the verdict here too");
  command->add_option("--duration", options->duration_seconds, "Seconds of load");
  command->add_option("--wan", *wan, "Emulate a wide-area network: on or off")->check(CLI::IsMember({"on", "off"}));
  command->add_option("--zones", options->zones, "Nodes per region");
  command->add_option("--kill", options->kill, "Region to kill");
  command->add_option("--dir", options->dir, "Folder to use and keep (default: a temporary one)");
  command->add_flag("--keep", options->keep, "No scenario: leave the cluster running until Ctrl-C");
  command->add_flag("--quiet", options->quiet, "The verdict alone");
  command->callback([options, wan, &exit_code] {
    options->wan = *wan == "on";
    const auto code = demo::run_demo(*options, watch_for_interruption());
    exit_code = code ? *code : report(code.error());
  });
}

}  // namespace evercert::apps
