// SPDX-License-Identifier: Apache-2.0
#include "traffic/shares/shares.h"

#include <nlohmann/json.hpp>

namespace evercert::traffic {
namespace {

using nlohmann::json;

constexpr std::size_t kLongest = 64 << 10, kMostRegions = 255, kLongestName = 64, kLongestBy = 200;

}  // namespace

std::string to_json(const Shares& shares) {
  const json out{{"version", 1}, {"shares", shares.percent}, {"by", shares.by}, {"revision", shares.revision}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Shares> parse_shares(std::string_view text) {
  if (text.size() > kLongest) return fail(Code::kInvalid, "a document of traffic shares is too long");
  const json in = json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("version") || in["version"] != 1 || !in.contains("shares") ||
      !in["shares"].is_object() || in["shares"].size() > kMostRegions)
    return fail(Code::kInvalid, "not a document of traffic shares (version 1)");
  Shares shares;
  for (const auto& [name, percent] : in["shares"].items()) {
    if (name.empty() || name.size() > kLongestName)
      return fail(Code::kInvalid, "a document of traffic shares names a region strangely");
    if (!percent.is_number_integer() || percent < 0 || percent > 100)
      return fail(Code::kInvalid, "the traffic share of '" + name + "' is no whole number from 0 to 100");
    shares.percent[name] = percent.get<int>();
  }
  if (const auto by = in.find("by"); by != in.end() && by->is_string())
    shares.by = by->get<std::string>().substr(0, kLongestBy);
  if (const auto revision = in.find("revision"); revision != in.end()) {
    if (!revision->is_number_integer() || *revision < 0)
      return fail(Code::kInvalid, "a document of traffic shares has a strange revision");
    shares.revision = revision->get<std::int64_t>();
  }
  return shares;
}

}  // namespace evercert::traffic
