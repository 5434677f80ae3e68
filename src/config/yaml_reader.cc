// SPDX-License-Identifier: Apache-2.0
#include "config/yaml_reader.h"

#include <algorithm>

namespace evercert::config {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t up = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = up;
    }
  }
  return row.back();
}

}  // namespace

std::unexpected<Error> YamlReader::wrong(const YAML::Node& at, const std::string& what) const {
  const YAML::Mark mark = at.IsDefined() ? at.Mark() : YAML::Mark::null_mark();
  return fail(Code::kInvalid,
              path_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": " + what);
}

Status YamlReader::is_map(const YAML::Node& node, std::string_view where) const {
  if (node.IsMap()) return {};
  return wrong(node, "'" + std::string(where) + "' must be a map of keys and values");
}

Status YamlReader::is_list(const YAML::Node& node, std::string_view where) const {
  if (node.IsSequence()) return {};
  return wrong(node, "'" + std::string(where) + "' must be a list");
}

Status YamlReader::only(const YAML::Node& map, std::string_view where,
                        std::initializer_list<std::string_view> known) const {
  EC_TRY(is_map(map, where));
  std::vector<std::string> seen;
  for (const auto& entry : map) {
    const auto key = entry.first.as<std::string>();
    if (std::find(seen.begin(), seen.end(), key) != seen.end())
      return wrong(entry.first, "'" + key + "' stands here twice: remove one");
    seen.push_back(key);
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const auto nearest = std::min_element(
        known.begin(), known.end(), [&](auto a, auto b) { return edit_distance(key, a) < edit_distance(key, b); });
    std::string all;
    for (const auto name : known) all += (all.empty() ? "" : ", ") + std::string(name);
    return wrong(entry.first, "unknown key '" + key + "' in '" + std::string(where) + "': " +
                                  (edit_distance(key, *nearest) <= 3 ? "did you mean '" + std::string(*nearest) + "'?"
                                                                     : "known are " + all));
  }
  return {};
}

Status YamlReader::required(const YAML::Node& map, std::string_view where,
                            std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    if (!map[key]) return wrong(map, "'" + std::string(where) + "' lacks '" + key + "': add it");
  }
  return {};
}

Status YamlReader::text(const YAML::Node& map, const char* key, std::string& out) const {
  const YAML::Node node = map[key];
  if (!node) return {};
  if (!node.IsScalar()) return wrong(node, std::string("'") + key + "' must be a text");
  out = node.as<std::string>();
  return {};
}

Status YamlReader::flag(const YAML::Node& map, const char* key, bool& out) const {
  const YAML::Node node = map[key];
  if (!node) return {};
  if (!YAML::convert<bool>::decode(node, out)) return wrong(node, std::string("'") + key + "' must be true or false");
  return {};
}

Status YamlReader::number(const YAML::Node& map, const char* key, double low, double high, double& out) const {
  const YAML::Node node = map[key];
  if (!node) return {};
  double value = 0;
  if (!node.IsScalar() || !YAML::convert<double>::decode(node, value))
    return wrong(node, std::string("'") + key + "' must be a number");
  if (!(value >= low && value <= high)) {
    const auto plain = [](double v) {
      std::string t = std::to_string(v);
      t.erase(t.find_last_not_of('0') + 1);
      if (t.back() == '.') t.pop_back();
      return t;
    };
    return wrong(node, std::string("'") + key + "' must lie between " + plain(low) + " and " + plain(high));
  }
  out = value;
  return {};
}

}  // namespace evercert::config
