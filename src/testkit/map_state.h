// SPDX-License-Identifier: Apache-2.0
// A key space in memory, for tests and fuzz targets; and the commands that they use most.
#pragma once

#include <map>
#include <string>

#include "coordination/machine.h"
#include "coordination/state.h"

namespace evercert::coordination {

class MapState : public State {
 public:
  Result<std::optional<std::string>> get(const std::string& key) const override {
    const auto found = data.find(key);
    return found == data.end() ? std::nullopt : std::optional(found->second);
  }
  Status scan(const std::string& from, const std::string& to, const Visit& visit) const override {
    for (auto it = data.lower_bound(from); it != data.end() && it->first < to; ++it) {
      if (!visit(it->first, it->second)) break;
    }
    return {};
  }
  void put(std::string key, std::string value) override { data[std::move(key)] = std::move(value); }
  void remove(std::string key) override { data.erase(key); }
  void remove_range(std::string from, std::string to) override {
    if (from < to) data.erase(data.lower_bound(from), data.lower_bound(to));
  }

  std::map<std::string, std::string> data;
};

inline v1::Command put_command(const std::string& key, const std::string& value, std::int64_t lease = 0) {
  v1::Command command;
  command.mutable_put()->set_key(key);
  command.mutable_put()->set_value(value);
  command.mutable_put()->set_lease(lease);
  return command;
}

inline v1::Command delete_command(const std::string& key, const std::string& end = "") {
  v1::Command command;
  command.mutable_delete_range()->set_key(key);
  command.mutable_delete_range()->set_range_end(end);
  return command;
}

inline v1::Command compact_command(std::int64_t revision) {
  v1::Command command;
  command.mutable_compact()->set_revision(revision);
  return command;
}

}  // namespace evercert::coordination
