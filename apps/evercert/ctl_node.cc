// SPDX-License-Identifier: Apache-2.0
// Which nodes vote, by ctl: node list, add, remove, replace.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "commands.h"
#include "ctl_client.h"

namespace evercert::apps {
namespace {

using nlohmann::json;

struct NodeOptions {
  std::shared_ptr<const CtlOptions> ctl;
  std::string node, successor, address, reason;
  int peer_port = 0, coordination_port = 0;
};

// "us-east-1/2"
struct Name {
  std::string region;
  int zone = 0;
};
Result<Name> read_name(const std::string& text) {
  const auto slash = text.find('/');
  const std::string zone = slash == std::string::npos ? "" : text.substr(slash + 1);
  if (slash == 0 || zone.size() != 1 || zone[0] < '1' || zone[0] > '9')
    return fail(Code::kInvalid, "'" + text + "' names no node: write region/zone, as in us-east-1/2");
  return Name{text.substr(0, slash), zone[0] - '0'};
}

void print_nodes(const json& d) {
  std::printf("epoch %lld, %s\n", static_cast<long long>(d.value("epoch", 0)),
              d.value("done", false) ? "nothing under way" : "a change is under way");
  if (d.contains("changed")) {
    const auto& c = d["changed"];
    std::printf("last changed %s by %s%s\n", c.value("since", "").c_str(), c.value("by", "").c_str(),
                c.value("reason", "").empty() ? "" : (": " + c.value("reason", "")).c_str());
  }
  std::printf("%-20s %6s %-8s %-10s %s\n", "NODE", "ID", "STATE", "VOTES IN", "DONE IN");
  for (const auto& node : d.value("nodes", json::array())) {
    const std::string name = node.value("region", "") + "/" + std::to_string(node.value("zone", 0));
    const std::string groups = " of " + std::to_string(node.value("groups", 0));
    std::printf("%-20s %6lld %-8s %-10s %s\n", name.c_str(), static_cast<long long>(node.value("node", 0)),
                node.value("state", "").c_str(), (std::to_string(node.value("votes_in", 0)) + groups).c_str(),
                (std::to_string(node.value("groups_done", 0)) + groups + " groups").c_str());
  }
}

// Where the node is reached: as the command line says, or the cluster file of this machine.
Result<json> place_of(const Ctl& ctl, const NodeOptions& options, const Name& name) {
  json body = json::object();
  if (const auto* region = ctl.cluster().region(name.region)) {
    for (const auto& node : region->nodes) {
      if (node.zone != name.zone) continue;
      body = {{"address", node.address}, {"peer_port", node.peer_port}, {"coordination_port", node.coordination_port}};
    }
  }
  if (!options.address.empty()) body["address"] = options.address;
  if (options.peer_port != 0) body["peer_port"] = options.peer_port;
  if (options.coordination_port != 0) body["coordination_port"] = options.coordination_port;
  if (!body.contains("address") || !body.contains("peer_port"))
    return fail(Code::kInvalid, options.ctl->cluster_file + " does not name " + name.region + "/" +
                                    std::to_string(name.zone) + ": add it there, or give --address and --peer-port");
  if (!options.reason.empty()) body["reason"] = options.reason;
  return body;
}

int call(const NodeOptions& options, const std::function<Result<net::HttpResponse>(Ctl&)>& what) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  return show(*options.ctl, what(*ctl), print_nodes);
}

std::string path_of(const Name& name) { return "/v1/nodes/" + name.region + "/" + std::to_string(name.zone); }

int add(const NodeOptions& options) {
  return call(options, [&](Ctl& ctl) -> Result<net::HttpResponse> {
    EC_ASSIGN(const auto name, read_name(options.node));
    EC_ASSIGN(const auto body, place_of(ctl, options, name));
    return ctl.call("PUT", path_of(name), body.dump());
  });
}

int remove(const NodeOptions& options) {
  return call(options, [&](Ctl& ctl) -> Result<net::HttpResponse> {
    EC_ASSIGN(const auto name, read_name(options.node));
    return ctl.call("DELETE", path_of(name), options.reason.empty() ? "" : json{{"reason", options.reason}}.dump());
  });
}

int replace(const NodeOptions& options) {
  return call(options, [&](Ctl& ctl) -> Result<net::HttpResponse> {
    EC_ASSIGN(const auto name, read_name(options.node));
    EC_ASSIGN(const auto successor, read_name(options.successor));
    if (name.region != successor.region)
      return fail(Code::kInvalid, "a node is replaced by one of its own region; add the one and remove the other");
    EC_ASSIGN(auto body, place_of(ctl, options, successor));
    body["zone"] = successor.zone;
    return ctl.call("POST", path_of(name) + "/replace", body.dump());
  });
}

}  // namespace

void register_ctl_node(CLI::App& ctl, std::shared_ptr<const CtlOptions> ctl_options, int& exit_code) {
  auto options = std::make_shared<NodeOptions>();
  options->ctl = std::move(ctl_options);
  auto* node = ctl.add_subcommand("node", "Which nodes vote\nExample: evercert ctl node add us-east-1/2");
  node->require_subcommand(1);
  node->add_subcommand("list", "All nodes, and how far a change has come")->callback([=, &exit_code] {
    exit_code = call(*options, [](Ctl& client) { return client.call("GET", "/v1/nodes"); });
  });
  const auto verb = [&](const char* name, const char* what, int (*run)(const NodeOptions&)) {
    auto* command = node->add_subcommand(name, what);
    command->add_option("node", options->node, "region/zone")->required();
    command->add_option("--reason", options->reason, "Why, for whoever looks later");
    command->callback([=, &exit_code] { exit_code = run(*options); });
    return command;
  };
  const auto place = [&](CLI::App* command) {
    command->add_option("--address", options->address, "Where it is reached, if the cluster file does not say");
    command->add_option("--peer-port", options->peer_port, "Its port for other nodes")->check(CLI::Range(1, 65535));
    command->add_option("--coordination-port", options->coordination_port, "Its port for etcd's API")
        ->check(CLI::Range(1, 65535));
  };
  place(verb("add", "A running node catches up, and votes", add));
  verb("remove", "It votes no more, and may be stopped", remove);
  auto* exchange = verb("replace", "Another node of its region takes its place in one change", replace);
  exchange->add_option("successor", options->successor, "region/zone")->required();
  place(exchange);
}

}  // namespace evercert::apps
