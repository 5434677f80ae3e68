// SPDX-License-Identifier: Apache-2.0
#include "node/spare_edges.h"

namespace evercert::node {

SpareEdges::SpareEdges(std::string cluster_file, std::string region, const std::vector<int>& numbers)
    : cluster_file_(std::move(cluster_file)), region_(std::move(region)) {
  for (const int number : numbers) edges_["edge " + std::to_string(number)].number = number;
}

std::vector<recovery::Worker> SpareEdges::list() {
  std::vector<recovery::Worker> all;
  for (auto& [name, edge] : edges_) all.push_back({name, edge.process.running()});
  return all;
}

Status SpareEdges::start(const std::string& name) {
  const auto edge = edges_.find(name);
  if (edge == edges_.end()) return fail(Code::kNotFound, "no such worker");
  EC_ASSIGN(edge->second.process, os::Child::start({"edge", "--cluster", cluster_file_, "--region", region_, "--number",
                                                    std::to_string(edge->second.number), "--die-with-parent"}));
  return {};
}

Status SpareEdges::stop(const std::string& name) {
  const auto edge = edges_.find(name);
  if (edge == edges_.end()) return fail(Code::kNotFound, "no such worker");
  edge->second.process.ask_to_end();
  return {};
}

}  // namespace evercert::node
