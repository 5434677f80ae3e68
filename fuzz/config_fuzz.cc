// SPDX-License-Identifier: Apache-2.0
// A configuration file that somebody has edited.
#include <set>

#include "base/check.h"
#include "config/config.h"
#include "fuzz/input.h"

namespace evercert {
namespace {

bool is_address(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
}

void check(const config::ClusterConfig& cluster) {
  EC_CHECK(cluster.id.size() == 16 && !cluster.regions.empty(), "what everything else relies on");
  std::set<NodeId> ids;
  for (const auto& region : cluster.regions) {
    EC_CHECK(&cluster.region(region.id) == &region && cluster.region(region.name) == &region, "regions are found");
    for (const auto& edge : region.edges) EC_CHECK(is_address(edge.address), "an address to listen on");
    for (const auto& node : region.nodes) {
      EC_CHECK(is_address(node.address), "an address to listen on");
      EC_CHECK(ids.insert(node.id).second, "identities are unique");
    }
  }
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  const auto document = config::parse("c.yaml", std::string(fuzz::text(data, size)));
  if (!document) {
    EC_CHECK(document.error().code == Code::kInvalid, "the file is wrong, not we");
    EC_CHECK(document.error().message.starts_with("c.yaml:"), "a complaint names its place");
    return 0;
  }
  if (document->cluster) check(*document->cluster);
  EC_CHECK(!config::describe(*document).empty(), "what was accepted can be told");
  return 0;
}
