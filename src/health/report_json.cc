// SPDX-License-Identifier: Apache-2.0
// A node's report as JSON.
#include <nlohmann/json.hpp>

#include "health/board.h"

namespace evercert::health {
namespace {

using nlohmann::json;

constexpr std::size_t kLongest = 64 << 10, kMostParts = 64, kLongestText = 300;

json part_json(const Report::Part& part) {
  json out{{"score", part.points}};
  if (!part.why.empty()) out["why"] = part.why;
  return out;
}

Result<Report::Part> read_part(const json& in) {
  if (!in.is_object() || !in.contains("score") || !in["score"].is_number())
    return fail(Code::kInvalid, "a health report has a part without a score");
  Report::Part part;
  part.points = in["score"].get<double>();
  if (!(part.points >= 0 && part.points <= 100))
    return fail(Code::kInvalid, "a health report has a score that is not between 0 and 100");
  if (const auto why = in.find("why"); why != in.end()) {
    if (!why->is_string()) return fail(Code::kInvalid, "a health report has a reason that is no text");
    part.why = why->get<std::string>().substr(0, kLongestText);
  }
  return part;
}

}  // namespace

std::string to_json(const Report& report) {
  json components = json::object(), regions = json::object();
  for (const auto& [name, part] : report.components) components[name] = part_json(part);
  for (const auto& [id, part] : report.regions) regions[std::to_string(id.value)] = part_json(part);
  const json out{{"node", report.node.value}, {"components", std::move(components)}, {"regions", std::move(regions)}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Report> parse_report(std::string_view text) {
  if (text.size() > kLongest) return fail(Code::kInvalid, "a health report is too long");
  const json in = json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("node") || !in["node"].is_number_unsigned())
    return fail(Code::kInvalid, "not a health report");
  Report report;
  report.node = NodeId{in["node"].get<std::uint64_t>()};
  const json none = json::object();
  const json& components = in.contains("components") ? in["components"] : none;
  const json& regions = in.contains("regions") ? in["regions"] : none;
  if (!components.is_object() || !regions.is_object() || components.size() > kMostParts || regions.size() > kMostParts)
    return fail(Code::kInvalid, "not a health report");
  for (const auto& [name, part] : components.items()) {
    if (name.empty() || name.size() > 40) return fail(Code::kInvalid, "a health report names a component strangely");
    EC_ASSIGN(report.components[name], read_part(part));
  }
  for (const auto& [number, part] : regions.items()) {
    // As to_json() writes it: one to three digits, no zero before.
    const bool digits = !number.empty() && number.size() <= 3 && number.find_first_not_of("0123456789") == number.npos;
    const unsigned long id = digits ? std::stoul(number) : 0;
    if (id < 1 || id > 255) return fail(Code::kInvalid, "a health report names a region that cannot be");
    EC_ASSIGN(report.regions[RegionId{static_cast<std::uint8_t>(id)}], read_part(part));
  }
  return report;
}

}  // namespace evercert::health
