// SPDX-License-Identifier: Apache-2.0
// YAML with a memory for places: every complaint names file, line and column. For .cc files only.
#pragma once

#include <yaml-cpp/yaml.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace evercert::config {

class YamlReader {
 public:
  explicit YamlReader(std::string path) : path_(std::move(path)) {}

  std::unexpected<Error> wrong(const YAML::Node& at, const std::string& what) const;
  // Fails on a key that is not among `known`, naming the nearest one.
  Status only(const YAML::Node& map, std::string_view where, std::initializer_list<std::string_view> known) const;
  Status is_map(const YAML::Node& node, std::string_view where) const;
  Status is_list(const YAML::Node& node, std::string_view where) const;

  // Leaves `out` as it is when the key is missing.
  Status text(const YAML::Node& map, const char* key, std::string& out) const;
  Status flag(const YAML::Node& map, const char* key, bool& out) const;
  Status number(const YAML::Node& map, const char* key, double low, double high, double& out) const;
  template <class Int>
  Status integer(const YAML::Node& map, const char* key, std::int64_t low, std::int64_t high, Int& out) const {
    double value = static_cast<double>(out);
    EC_TRY(number(map, key, static_cast<double>(low), static_cast<double>(high), value));
    if (value != static_cast<double>(static_cast<std::int64_t>(value)))
      return wrong(map[key], std::string("'") + key + "' must be a whole number");
    out = static_cast<Int>(value);
    return {};
  }
  Status required(const YAML::Node& map, std::string_view where, std::initializer_list<const char*> keys) const;

 private:
  std::string path_;
};

}  // namespace evercert::config
