// SPDX-License-Identifier: Apache-2.0
// What waits for a majority, by ctl: queue list, show, drop, reports. Each node has a queue of its own.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "commands.h"
#include "ctl_client.h"

namespace evercert::apps {
namespace {

using nlohmann::json;

struct QueueOptions {
  std::shared_ptr<const CtlOptions> ctl;
  std::string id;
};

// Every node that answers is asked for `path`; `human` prints one answer. 1 when some do not answer.
int ask_all(const QueueOptions& options, const std::string& path, const std::function<void(const json&)>& human) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  json all = json::array();
  int silent = 0;
  for (const auto& region : ctl->cluster().regions) {
    if (region.removed || region.witness) continue;
    if (!options.ctl->region.empty() && options.ctl->region != region.name) continue;
    for (const auto& node : region.nodes) {
      auto response = ctl->call_target({node.address, node.status_port, false, ""}, "GET", path, "");
      if (!response || response->status != 200) {
        ++silent;
        std::fprintf(stderr, "evercert: zone %d of %s: ", node.zone, region.name.c_str());
        if (response) {
          complain(*response);
        } else {
          std::fprintf(stderr, "%s\n", response.error().message.c_str());
        }
        continue;
      }
      auto document = json::parse(response->body, nullptr, false);
      if (!document.is_object()) continue;
      document["region"] = region.name;
      all.push_back(std::move(document));
    }
  }
  if (options.ctl->as_json) {
    std::cout << all.dump(2) << "\n";
  } else {
    for (const auto& document : all) human(document);
  }
  return silent == 0 ? 0 : 1;
}

int list(const QueueOptions& options) {
  if (!options.ctl->as_json)
    std::printf("%-28s  %-10s %-14s %-20s  %-20s  %-32s %s\n", "ID", "KIND", "REGION", "QUEUED", "EXPIRES", "SERIAL",
                "LAST ATTEMPT");
  return ask_all(options, "/v1/queued?limit=1000", [](const json& document) {
    for (const auto& one : document.value("operations", json::array())) {
      std::printf("%-28s  %-10s %-14s %-20s  %-20s  %-32s %s\n", one.value("id", "").c_str(),
                  one.value("kind", "").c_str(), document.value("region", "").c_str(),
                  one.value("queued_at", "").c_str(), one.value("expires_at", "").c_str(),
                  one.value("serial", "").c_str(), one.value("detail", "").c_str());
    }
  });
}

int reports(const QueueOptions& options) {
  return ask_all(options, "/v1/reconciliations", [](const json& document) {
    for (const auto& one : document.value("reconciliations", json::array())) {
      const bool ended = one.contains("ended_at") && one["ended_at"].is_string();
      std::printf("%s %lld, from %s %s: %s\n", document.value("region", "").c_str(),
                  static_cast<long long>(one.value("number", 0)), one.value("first_queued_at", "").c_str(),
                  ended ? ("to " + one["ended_at"].get<std::string>()).c_str() : "(goes on)",
                  one.value("why", "").c_str());
      const json kinds = one.value("operations", json::object());
      for (const auto& [kind, tally] : kinds.items()) {
        std::printf("  %-10s", kind.c_str());
        for (const char* what : {"queued", "done", "refused", "expired", "dropped"})
          std::printf(" %lld %s%s", static_cast<long long>(tally.value(what, 0)), what,
                      what == std::string_view("dropped") ? "\n" : ",");
      }
    }
  });
}

void print_queue(const json& one) {
  for (const auto& [name, value] : one.items()) {
    if (name != "certificate")
      std::printf("%-18s %s\n", name.c_str(), (value.is_string() ? value.get<std::string>() : value.dump()).c_str());
  }
  std::cout << one.value("certificate", "");
}

int one(const QueueOptions& options, const std::string& method) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  return show(*options.ctl, ctl->call(method, "/v1/queued/" + options.id), print_queue);
}

}  // namespace

void register_ctl_queue(CLI::App& ctl, std::shared_ptr<const CtlOptions> ctl_options, int& exit_code) {
  auto options = std::make_shared<QueueOptions>();
  options->ctl = std::move(ctl_options);
  auto* queue = ctl.add_subcommand("queue", "What waits for a majority\nExample: evercert ctl queue list");
  queue->require_subcommand(1);
  queue->add_subcommand("list", "What waits, on all nodes, in the order in which it will be carried out")
      ->callback([=, &exit_code] { exit_code = list(*options); });
  queue->add_subcommand("reports", "What was queued and what became of it, on all nodes")->callback([=, &exit_code] {
    exit_code = reports(*options);
  });
  auto* show_command = queue->add_subcommand("show", "What became of one");
  show_command->add_option("id", options->id, "As it was told when it was queued")->required();
  show_command->callback([=, &exit_code] { exit_code = one(*options, "GET"); });
  auto* drop = queue->add_subcommand("drop", "Take one out: it will not be carried out");
  drop->add_option("id", options->id, "As it was told when it was queued")->required();
  drop->callback([=, &exit_code] { exit_code = one(*options, "DELETE"); });
}

}  // namespace evercert::apps
