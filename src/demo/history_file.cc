// SPDX-License-Identifier: Apache-2.0
#include "demo/history_file.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/encoding.h"

namespace evercert::demo {
namespace {

using nlohmann::json;

constexpr Kind kKinds[] = {Kind::kIssue, Kind::kRevoke, Kind::kOcsp, Kind::kGet, Kind::kCrl, Kind::kAcme};

// A serial is bytes; a CRL's record is a region's name.
std::string written(const Operation& operation) {
  return operation.kind == Kind::kCrl ? operation.record : to_hex(operation.record);
}

Result<Operation> read_line(const std::string& line, const config::ClusterConfig& config) {
  const auto document = json::parse(line, nullptr, false);
  if (!document.is_object()) return fail(Code::kInvalid, "not a JSON object");
  Operation operation;
  try {
    const auto& name = document.at("kind").get_ref<const std::string&>();
    const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](Kind k) { return to_string(k) == name; });
    if (kind == std::end(kKinds)) return fail(Code::kInvalid, "unknown kind '" + name + "'");
    operation.kind = *kind;
    const auto& client = document.at("client").get_ref<const std::string&>();
    const auto region = std::find_if(config.regions.begin(), config.regions.end(),
                                     [&](const auto& candidate) { return candidate.name == client; });
    if (region == config.regions.end()) return fail(Code::kInvalid, "unknown region '" + client + "'");
    operation.region = static_cast<int>(region - config.regions.begin());
    operation.begun = Instant{document.at("invoked_us").get<std::int64_t>()};
    operation.ended = Instant{document.at("returned_us").get<std::int64_t>()};
    operation.ok = document.at("ok").get<bool>();
    operation.output = document.at("output").get<std::string>();
    operation.answered_by = document.at("answered_by").get<std::string>();
    operation.record = document.at("record").get<std::string>();
  } catch (const json::exception& error) {
    return fail(Code::kInvalid, error.what());
  }
  if (operation.kind == Kind::kCrl) return operation;
  EC_ASSIGN(operation.record, from_hex(operation.record));
  return operation;
}

}  // namespace

Status write_history(const std::string& path, const config::ClusterConfig& config,
                     const std::vector<Operation>& operations) {
  std::ofstream file(path);
  for (const auto& operation : operations) {
    const json line{{"kind", to_string(operation.kind)},
                    {"client", config.regions[static_cast<std::size_t>(operation.region)].name},
                    {"record", written(operation)},
                    {"invoked_us", operation.begun.us},
                    {"returned_us", operation.ended.us},
                    {"ok", operation.ok},
                    {"output", operation.output},
                    {"answered_by", operation.answered_by}};
    file << line.dump() << "\n";
  }
  file.flush();
  if (!file) return fail(Code::kIo, path + ": cannot be written");
  return {};
}

Result<std::vector<Operation>> read_history(const std::string& path, const config::ClusterConfig& config) {
  std::ifstream file(path);
  if (!file) return fail(Code::kIo, path + ": cannot be read");
  std::vector<Operation> operations;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    auto operation = read_line(line, config);
    if (!operation) return fail(Code::kInvalid, path + ":" + std::to_string(number) + ": " + operation.error().message);
    operations.push_back(std::move(*operation));
  }
  return operations;
}

}  // namespace evercert::demo
