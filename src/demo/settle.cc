// SPDX-License-Identifier: Apache-2.0
#include "demo/settle.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace evercert::demo {
namespace {

using nlohmann::json;
using Marks = std::map<std::string, std::uint64_t>;  // by group: an index of its log

struct Node {
  std::size_t region = 0, index = 0;
  std::string name;
};

Result<json> groups_of(OperatorClient& client, const Node& node) {
  const auto response = client.ask_node(node.region, node.index, "/v1/status");
  if (!response) return fail(response.error(), node.name);
  auto document = json::parse(response->body, nullptr, false);
  if (!document.is_object()) return fail(Code::kUnavailable, node.name + " does not tell its status");
  return document.value("groups", json::array());
}

// kUnavailable: what is missing.
Status settled(OperatorClient& client, const Node& node, const Marks& marks) {
  EC_ASSIGN(const auto groups, groups_of(client, node));
  for (const auto& group : groups) {
    const std::string name = group.value("group", "");
    const auto mark = marks.find(name);
    if (!group.value("leased", false))
      return fail(Code::kUnavailable, node.name + " holds no read lease of group " + name);
    if (mark != marks.end() && group.value("applied", std::uint64_t{0}) < mark->second)
      return fail(Code::kUnavailable, node.name + " has not caught up with group " + name);
  }
  return {};
}

}  // namespace

Result<std::vector<StoreAtEnd>> stores_once_settled(OperatorClient& client, const config::ClusterConfig& config,
                                                    Duration patience, const std::function<bool()>& interrupted) {
  const Instant end = os::monotonic_clock().now() + patience;
  std::vector<Node> nodes;
  for (std::size_t r = 0; r < config.regions.size(); ++r) {
    for (std::size_t n = 0; n < config.regions[r].nodes.size(); ++n)
      nodes.push_back({r, n, config.regions[r].name + "-" + std::to_string(config.regions[r].nodes[n].zone)});
  }
  const auto again = [&](const auto& attempt) -> Status {
    for (;;) {
      const Status done = attempt();
      if (done) return {};
      if (interrupted()) return fail(Code::kUnavailable, "interrupted");
      if (os::monotonic_clock().now() > end) return done;
      usleep(100'000);
    }
  };
  Marks marks;
  for (const Node& node : nodes) {
    EC_TRY(again([&]() -> Status {
      EC_ASSIGN(const auto groups, groups_of(client, node));
      for (const auto& group : groups) {
        auto& mark = marks[group.value("group", "")];
        mark = std::max(mark, group.value("last", std::uint64_t{0}));
      }
      return {};
    }));
  }
  std::vector<StoreAtEnd> stores;
  for (const Node& node : nodes) {
    EC_TRY(again([&] { return settled(client, node, marks); }));
    EC_ASSIGN(auto certificates, client.list_store(node.region, node.index));
    stores.push_back({"store of " + node.name, std::move(certificates)});
  }
  return stores;
}

}  // namespace evercert::demo
