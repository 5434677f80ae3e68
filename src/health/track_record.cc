// SPDX-License-Identifier: Apache-2.0
#include "health/track_record.h"

#include <array>
#include <nlohmann/json.hpp>

namespace evercert::health {
namespace {

using nlohmann::json;

constexpr std::size_t kMost = 64, kLongest = 64 << 10;
constexpr std::uint64_t kMostCounted = 1ull << 53;  // whole numbers that every reader of JSON knows

struct Part {
  const char* name;
  std::uint64_t BackTest::Count::*count;
};
constexpr std::array kParts{Part{"warned_and_came", &BackTest::Count::warned_and_came},
                            Part{"warned_in_vain", &BackTest::Count::warned_in_vain},
                            Part{"came_unwarned", &BackTest::Count::came_unwarned},
                            Part{"rightly_quiet", &BackTest::Count::rightly_quiet}};

}  // namespace

std::string to_json(const TrackRecord& record) {
  json forecasts = json::object();
  for (const auto& [what, count] : record) {
    for (const Part& part : kParts) forecasts[what][part.name] = count.*part.count;
  }
  return json{{"forecasts", std::move(forecasts)}}.dump(2) + "\n";
}

Result<TrackRecord> parse_track_record(std::string_view text) {
  const json in = text.size() > kLongest ? json() : json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("forecasts") || !in["forecasts"].is_object() || in["forecasts"].size() > kMost)
    return fail(Code::kInvalid, "it does not say how often forecasts came true");
  TrackRecord record;
  for (const auto& [what, counts] : in["forecasts"].items()) {
    for (const Part& part : kParts) {
      const bool fits = counts.is_object() && counts.contains(part.name) && counts[part.name].is_number_unsigned() &&
                        counts[part.name].get<std::uint64_t>() <= kMostCounted;
      if (!fits) return fail(Code::kInvalid, "'" + what + "' has no count '" + part.name + "'");
      record[what].*part.count = counts[part.name].get<std::uint64_t>();
    }
  }
  return record;
}

}  // namespace evercert::health
