// SPDX-License-Identifier: Apache-2.0
#include "node/data_identity.h"

#include <charconv>
#include <sstream>

#include "base/encoding.h"
#include "base/log.h"

namespace evercert::node {
namespace {

std::string path_in(const std::string& dir) { return dir + "/identity"; }

template <class Number>
bool read_number(const std::string& text, Number& out) {
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, out);
  return read.ec == std::errc{} && read.ptr == end;
}

std::string name_of_node(const DataIdentity& identity) {
  const auto region = identity.regions.find(region_of(identity.node));
  return "region '" + (region == identity.regions.end() ? "?" : region->second) + "', zone " +
         std::to_string(identity.node.value % 256);
}

std::string in_order(const std::map<RegionId, std::string>& regions) {
  std::string all;
  for (const auto& [id, name] : regions) all += (all.empty() ? "" : ", ") + name;
  return all;
}

}  // namespace

DataIdentity identity_of(const config::ClusterConfig& config, NodeId node) {
  DataIdentity identity{kDataFormat, config.id, config.name, node, {}};
  for (const auto& region : config.regions) identity.regions[region.id] = region.name;
  return identity;
}

std::string write_identity(const DataIdentity& identity) {
  std::string text = "format " + std::to_string(identity.format) + "\n";
  text += "cluster " + to_hex(identity.cluster_id) + " " + identity.cluster_name + "\n";
  text += "node " + std::to_string(identity.node.value) + "\n";
  for (const auto& [id, name] : identity.regions) text += "region " + std::to_string(id.value) + " " + name + "\n";
  return text;
}

Result<DataIdentity> read_identity(const std::string& path, const std::string& text) {
  DataIdentity identity;
  identity.format = 0;
  std::istringstream lines(text);
  const auto damaged = [&](const std::string& line) {
    return fail(Code::kCorrupt, path + ": '" + line +
                                    "' does not belong here: the file is damaged. Move the data folder away and start "
                                    "again: the node is rebuilt from its peers");
  };
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key, first, rest;
    words >> key >> first;
    std::getline(words >> std::ws, rest);
    if (key == "format") {
      if (!read_number(first, identity.format) || identity.format < 1) return damaged(line);
      // What else a newer version writes here, only it knows.
      if (identity.format > kDataFormat)
        return fail(Code::kUnsupported, path + ": a newer version of Evercert wrote this data (format " + first +
                                            "; this program knows formats up to " + std::to_string(kDataFormat) +
                                            "). Nothing was changed: start that version again, or a later one");
    } else if (identity.format == 0) {
      return damaged(line);
    } else if (key == "cluster") {
      const auto id = from_hex(first);
      if (!id || id->size() != 16 || rest.empty()) return damaged(line);
      identity.cluster_id = *id;
      identity.cluster_name = rest;
    } else if (key == "node") {
      if (!read_number(first, identity.node.value)) return damaged(line);
    } else if (key == "region") {
      RegionId id;
      if (!read_number(first, id.value) || rest.empty()) return damaged(line);
      identity.regions[id] = rest;
    } else {
      return damaged(line);
    }
  }
  if (identity.cluster_id.empty() || identity.node == NodeId{0} || identity.regions.empty())
    return damaged("(the end)");
  return identity;
}

Status check_identity(const DataIdentity& then, const DataIdentity& now, const std::string& dir,
                      const std::string& file) {
  if (then.cluster_id != now.cluster_id)
    return fail(Code::kInvalid, dir + " holds data of cluster '" + then.cluster_name + "' (" + to_hex(then.cluster_id) +
                                    "), but " + file + " is the file of cluster '" + now.cluster_name + "' (" +
                                    to_hex(now.cluster_id) +
                                    "). Name the file of that cluster (--cluster), or another folder (--data)");
  for (const auto& [id, name] : then.regions) {
    const auto here = now.regions.find(id);
    if (here != now.regions.end() && here->second == name) continue;
    const std::string number = std::to_string(id.value);
    if (here == now.regions.end())
      return fail(Code::kInvalid, file + " does not name region '" + name + "', which is number " + number + " in " +
                                      dir + ": the file is older than the data. Take the newest cluster file");
    return fail(Code::kInvalid, file + " names '" + here->second + "' as region number " + number + ", but in " + dir +
                                    " that is '" + name +
                                    "': a region's place is in its serial numbers and never changes. List the regions "
                                    "in this order, new ones behind them: " +
                                    in_order(then.regions));
  }
  if (then.node != now.node)
    return fail(Code::kInvalid, dir + " holds the data of " + name_of_node(then) + ", not of " + name_of_node(now) +
                                    " (" + file +
                                    "). Start that node on it (--region, --zone), or name the folder of this one "
                                    "(--data)");
  return {};
}

Status check_regions(const config::ClusterConfig& config, const store::v1::Membership& record) {
  for (const auto& founding : record.foundings()) {
    const std::size_t place = founding.region() - 1u;
    if (place >= config.regions.size()) {
      log_warning("node: the cluster has a region '" + founding.name() + "' that " + config.path +
                  " does not name: this node serves no clients until it is started with the new file");
    } else if (config.regions[place].name != founding.name()) {
      return fail(Code::kInvalid, config.path + " names '" + config.regions[place].name + "' as region number " +
                                      std::to_string(founding.region()) + ", but the cluster was given '" +
                                      founding.name() +
                                      "' in that place: regions are only appended. Take the newest cluster file");
    }
  }
  return {};
}

Result<std::optional<DataIdentity>> load_identity(Disk& disk, const std::string& dir) {
  if (!disk.exists(path_in(dir))) return std::optional<DataIdentity>{};
  EC_ASSIGN(const auto text, read_file(disk, path_in(dir)));
  EC_ASSIGN(auto identity, read_identity(path_in(dir), text));
  return std::optional(std::move(identity));
}

Status claim_folder(Disk& disk, const std::string& dir, const DataIdentity& now, const std::string& file) {
  EC_ASSIGN(const auto then, load_identity(disk, dir));
  if (then) EC_TRY(check_identity(*then, now, dir, file));
  if (then == now) return {};
  return write_file_durably(disk, path_in(dir), write_identity(now));
}

}  // namespace evercert::node
