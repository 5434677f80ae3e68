// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "ceremony/ceremony.h"
#include "commands.h"

namespace evercert::apps {

void register_init(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "init", "Make a cluster: root, issuing CAs, identities, cluster file\nExample: evercert init ./cluster");
  auto options = std::make_shared<ceremony::CeremonyOptions>();
  auto keys = std::make_shared<std::string>("hsm");
  auto timing = std::make_shared<std::string>("wan");
  options->dir = "evercert-cluster";
  command->add_option("dir", options->dir, "Folder to make it in");
  command->add_option("--name", options->name, "Name of the cluster");
  command->add_option("--regions", options->regions, "Names of the regions")->delimiter(',');
  command->add_option("--witness", options->witnesses, "Of the regions, one that votes and keeps no records");
  command->add_option("--zones", options->zones, "Nodes per region");
  command->add_option("--keys", *keys, "Where keys lie: hsm (PKCS #11) or files")
      ->check(CLI::IsMember({"hsm", "files"}));
  command->add_option("--hsm-module", options->hsm_module, "PKCS #11 module");
  command->add_option("--timing", *timing, "wan or loopback")->check(CLI::IsMember({"wan", "loopback"}));
  command->add_flag("--emulate-wan", options->wan, "Delay messages between regions as a wide-area network would");
  command->callback([options, keys, timing, &exit_code] {
    options->hsm = *keys == "hsm";
    options->loopback_timing = *timing == "loopback";
    options->dir = std::filesystem::absolute(options->dir).lexically_normal().string();
    const Status made = ceremony::run(*options, [](const std::string& line) { std::printf("  %s\n", line.c_str()); });
    if (!made) {
      exit_code = report(made.error());
      return;
    }
    const auto& witnesses = options->witnesses;
    const std::string first = *std::ranges::find_if(
        options->regions, [&](const auto& region) { return std::ranges::find(witnesses, region) == witnesses.end(); });
    std::printf(
        "\nThe root key lies in %s/root, with the keys that open the regions' standbys: take it off this machine.\n"
        "Next, in each region:\n"
        "  evercert node --cluster %s/cluster.yaml --region %s --zone 1 --data /var/lib/evercert\n"
        "  evercert edge --cluster %s/cluster.yaml --region %s\n",
        options->dir.c_str(), options->dir.c_str(), first.c_str(), options->dir.c_str(), first.c_str());
  });
}

}  // namespace evercert::apps
