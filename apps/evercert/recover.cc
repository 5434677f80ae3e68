// SPDX-License-Identifier: Apache-2.0
// recover: a stopped node goes on without the replicas that are lost for good.
#include "node/recover.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "commands.h"

namespace evercert::apps {
namespace {

struct Options : node::RecoverOptions {
  std::string by = "operator";
  bool yes = false;
  std::string join;  // what another node's recovery has left
};

void describe(const node::StoppedNode& node) {
  std::printf("%-14s %8s %12s %12s %10s\n", "GROUP", "TERM", "LOG ENDS AT", "COMMITTED TO", "VOTED FOR");
  for (const auto& end : node.ends()) {
    std::printf("%-14s %8llu %12llu %12llu %10llu\n", node.name_of(end.group).c_str(),
                static_cast<unsigned long long>(end.term.value), static_cast<unsigned long long>(end.last.value),
                static_cast<unsigned long long>(end.committed.value), static_cast<unsigned long long>(end.vote.value));
  }
  std::printf("\nThe only voters will be:");
  for (const NodeId voter : node.voters()) std::printf(" %llu", static_cast<unsigned long long>(voter.value));
  std::printf("\nRegions that will be fenced:");
  for (const auto& region : node.lost_regions()) std::printf(" %s", region.c_str());
  std::printf("\n\nWhat may be lost:\n");
  for (const auto& line : node.losses()) std::printf("  - %s\n", line.c_str());
  std::printf(
      "\nThis cannot be undone. Make sure that the lost nodes never run again on their old disks: together they could "
      "still\nbe a majority of the old cluster, and issue beside this one. Do the same on every node that is left.\n");
}

int join(const Options& options) {
  const auto joined = node::join_reformed(options, options.join);
  if (!joined) return report(joined.error());
  std::printf(
      "%s belongs to what was made anew.\nnext: start the node, then evercert ctl node add %s/%d, and when it votes, "
      "evercert ctl region unfence %s\n",
      options.data_dir.c_str(), options.region.c_str(), options.zone, options.region.c_str());
  return 0;
}

int recover(const Options& options) {
  if (!options.join.empty()) return join(options);
  auto node = node::StoppedNode::open(options);
  if (!node) return report(node.error());
  describe(**node);
  if (!options.yes) {
    std::printf("\nType the name of this region to go on: ");
    std::fflush(stdout);
    std::string typed;
    std::getline(std::cin, typed);
    if (typed != options.region) {
      std::fprintf(stderr, "evercert: nothing was changed\n");
      return 1;
    }
  }
  const auto written = (*node)->reform(options.by);
  if (!written) return report(written.error());
  std::printf(
      "\ndone: start the node again. What was done is written down in %s\nWhen there are machines for the others "
      "again, "
      "carry %s\nto each, and on it: evercert recover --join FILE --cluster FILE --region REGION --data DIR\n",
      written->record.c_str(), written->for_others.c_str());
  return 0;
}

}  // namespace

void register_recover(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "recover",
      "After the loss of a majority for good, on each stopped node that is left\nExample: evercert recover --cluster "
      "cluster.yaml --region us-east-1 --data /var/lib/evercert");
  auto options = std::make_shared<Options>();
  command->add_option("--cluster", options->cluster_file, "Cluster file")->required();
  command->add_option("--region", options->region, "Region of this node")->required();
  command->add_option("--zone", options->zone, "Zone of this node");
  command->add_option("--data", options->data_dir, "Its folder for log and state")->required();
  command->add_option("--with", options->with, "Further regions that are left, the same on every node");
  command->add_option("--by", options->by, "Who does this, for the record");
  command->add_flag("--yes", options->yes, "Do not ask");
  command->add_option("--join", options->join,
                      "With an empty --data: this node joins what was made anew. The file reformed-*.json that this "
                      "command has left in the data folder of a node that goes on");
  command->callback([options, &exit_code] { exit_code = recover(*options); });
}

}  // namespace evercert::apps
