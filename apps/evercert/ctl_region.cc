// SPDX-License-Identifier: Apache-2.0
// Which regions serve, by ctl: region list, add, fence, unfence, drain, remove.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "commands.h"
#include "ctl_client.h"

namespace evercert::apps {
namespace {

using nlohmann::json;

struct RegionOptions {
  std::shared_ptr<const CtlOptions> ctl;
  std::string region, reason;
  bool yes = false;
};

void print(const json& region) {
  std::string fence, why = region.value("reason", "");
  const std::string state = region.value("state", "");
  if (region.contains("fence") && (state == "fenced" || state == "removed")) {
    const auto& f = region["fence"];
    fence =
        "in " + std::to_string(f.value("groups_done", 0)) + " of " + std::to_string(f.value("groups", 0)) + " groups";
  }
  const json crls = region.value("crls", json::object());
  const std::string signer = crls.contains("signed_by") && crls["signed_by"].is_string() ? crls["signed_by"] : "nobody";
  std::printf("%-14s %-9s %6lld  %-21s %-16s %-18s %-14s %s\n", region.value("region", "").c_str(), state.c_str(),
              static_cast<long long>(region.value("epoch", 0)), region.value("since", "").c_str(),
              region.value("by", "").c_str(), fence.c_str(), signer.c_str(), why.c_str());
}

void print_header() {
  std::printf("%-14s %-9s %6s  %-21s %-16s %-18s %-14s %s\n", "REGION", "STATE", "EPOCH", "SINCE", "BY",
              "FENCE CARRIED OUT", "CRLS SIGNED BY", "REASON");
}

int list(const RegionOptions& options) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  return show(*options.ctl, ctl->call("GET", "/v1/regions"), [](const json& d) {
    std::printf("epoch %lld\n", static_cast<long long>(d.value("epoch", 0)));
    print_header();
    for (const auto& region : d.value("regions", json::array())) print(region);
  });
}

int change(const RegionOptions& options, const std::string& verb) {
  const bool adds = verb == "add";
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  if (ctl->cluster().region(options.region) == nullptr)
    return report(Error{Code::kInvalid, options.ctl->cluster_file + ": there is no region '" + options.region + "'"});
  const std::string body = options.reason.empty() ? "" : json{{"reason", options.reason}}.dump();
  const std::string path = "/v1/regions/" + options.region;
  const auto answer = adds ? ctl->call("PUT", path, body) : ctl->call("POST", path + "/" + verb, body);
  return show(*options.ctl, answer, [](const json& d) {
    std::printf("epoch %lld\n", static_cast<long long>(d.value("epoch", 0)));
    print_header();
    print(d.value("region", json::object()));
  });
}

// What cannot be undone is asked for twice.
bool sure(const Ctl& ctl, const RegionOptions& options) {
  std::size_t left = 0;
  for (const auto& region : ctl.cluster().regions) left += region.removed || region.name == options.region ? 0 : 1;
  std::fprintf(
      stderr,
      "%s will be none of the cluster's regions, for good: its nodes vote no more, its key signs nothing any more, and "
      "its\n"
      "name and number are never given again. What it has issued stays known, and can be revoked, in the others.\n",
      options.region.c_str());
  if (left < 3)
    std::fprintf(stderr,
                 "%zu regions are left by the cluster file: then nothing is issued while any one of them is down.\n",
                 left);
  if (options.yes) return true;
  std::fprintf(stderr, "\nType the name of the region to go on: ");
  std::fflush(stderr);
  std::string typed;
  std::getline(std::cin, typed);
  if (typed == options.region) return true;
  std::fprintf(stderr, "evercert: nothing was changed\n");
  return false;
}

int remove(const RegionOptions& options) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  const auto known = config::named_region(ctl->cluster(), options.region);
  if (!known) return report(known.error());
  if (!sure(*ctl, options)) return 1;
  const std::string body = options.reason.empty() ? "" : json{{"reason", options.reason}}.dump();
  return show(*options.ctl, ctl->call("DELETE", "/v1/regions/" + options.region, body), [&](const json& d) {
    const json region = d.value("region", json::object());
    std::printf("epoch %lld\n", static_cast<long long>(d.value("epoch", 0)));
    print_header();
    print(region);
    if (region.value("nodes_gone", false)) {
      std::printf(
          "its nodes are out of all groups: stop them and its edges, and write 'removed: true' beside the region's "
          "name\nin the cluster file, in its place\n");
    } else {
      std::printf("its nodes are on their way out of the groups: 'evercert ctl node list' says when they are\n");
    }
  });
}

}  // namespace

void register_ctl_region(CLI::App& ctl, std::shared_ptr<const CtlOptions> ctl_options, int& exit_code) {
  auto options = std::make_shared<RegionOptions>();
  options->ctl = std::move(ctl_options);
  auto* region = ctl.add_subcommand("region", "Which regions serve\nExample: evercert ctl region fence us-east-1");
  region->require_subcommand(1);
  region->add_subcommand("list", "State of all regions and the epoch")->callback([=, &exit_code] {
    exit_code = list(*options);
  });
  const auto add = [&](const char* verb, const char* what) {
    auto* command = region->add_subcommand(verb, what);
    command->add_option("region", options->region, "Name of the region")->required();
    command->add_option("--reason", options->reason, "Why, for whoever looks later");
    command->callback([=, &exit_code] { exit_code = change(*options, verb); });
  };
  add("add", "It is one of the cluster's from now on: its home group begins, its nodes follow, vote, and it serves");
  add("fence", "Its issuing key is not used and its clients go elsewhere, until 'unfence'");
  add("unfence", "It serves again, whether it was fenced or drained");
  auto* removal = region->add_subcommand(
      "remove", "It is none of the cluster's any more, for good; drain or fence it first, until its clients have gone");
  removal->add_option("region", options->region, "Name of the region")->required();
  removal->add_option("--reason", options->reason, "Why, for whoever looks later");
  removal->add_flag("--yes", options->yes, "Do not ask for the region's name again");
  removal->callback([=, &exit_code] { exit_code = remove(*options); });
  add("drain", "Its leaders and its clients go elsewhere; what comes is still answered, until 'unfence'");
}

}  // namespace evercert::apps
