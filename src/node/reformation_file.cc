// SPDX-License-Identifier: Apache-2.0
#include "node/reformation_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "store/layout.h"

namespace evercert::node {

std::string write_reformation(const ReformationFile& file) {
  nlohmann::ordered_json page;
  page["cluster"] = to_hex(file.cluster_id);
  page["id"] = file.reformation.id();
  page["voters"] = nlohmann::json::array();
  for (const auto voter : file.reformation.voters()) page["voters"].push_back(voter);
  page["by"] = file.reformation.by();
  page["at_ms"] = file.reformation.at_ms();
  page["losses"] = file.reformation.losses();
  return page.dump(2) + "\n";
}

Result<ReformationFile> read_reformation(const std::string& path, const std::string& text) {
  const auto refused = [&](const std::string& what) {
    return fail(Code::kInvalid, path + ": " + what +
                                    ". Take the file reformed-*.json that 'evercert recover' has left in the data "
                                    "folder of a node that goes on");
  };
  const auto page = nlohmann::json::parse(text, nullptr, false);
  if (!page.is_object()) return refused("this is no JSON object");
  for (const char* name : {"cluster", "id", "by", "losses"}) {
    if (!page.contains(name) || !page[name].is_string())
      return refused(std::string("'") + name + "' is missing, or no text");
  }
  if (!page.contains("at_ms") || !page["at_ms"].is_number_integer()) return refused("'at_ms' is missing, or no number");
  if (!page.contains("voters") || !page["voters"].is_array()) return refused("'voters' is missing, or no list");
  ReformationFile file;
  const auto cluster = from_hex(page["cluster"].get<std::string>());
  if (!cluster || cluster->size() != 16) return refused("'cluster' is no id of a cluster (32 hexadecimal digits)");
  file.cluster_id = *cluster;
  for (const auto& voter : page["voters"]) {
    if (!voter.is_number_unsigned()) return refused("a voter is no number");
    const auto node = voter.get<std::uint64_t>();
    if (node / 256 == 0 || node / 256 > store::kMostRegions)
      return refused("node " + std::to_string(node) + " is in no region");
    file.reformation.add_voters(node);
  }
  const auto& voters = file.reformation.voters();
  if (voters.empty() || !std::ranges::is_sorted(voters, std::less_equal<>{}))
    return refused("'voters' is empty, or not in ascending order");
  file.reformation.set_id(page["id"].get<std::string>());
  if (file.reformation.id().empty()) return refused("'id' is empty");
  file.reformation.set_by(page["by"].get<std::string>());
  file.reformation.set_at_ms(page["at_ms"].get<std::int64_t>());
  file.reformation.set_losses(page["losses"].get<std::string>());
  return file;
}

}  // namespace evercert::node
