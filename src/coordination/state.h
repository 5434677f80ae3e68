// SPDX-License-Identifier: Apache-2.0
// The part of a node's state that coordination has for itself. Keys are bytes without any further prefix.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace evercert::coordination {

// The state as it was at one moment. kCorrupt, kIo.
class View {
 public:
  // False ends the scan.
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;

  virtual ~View() = default;
  virtual Result<std::optional<std::string>> get(const std::string& key) const = 0;
  // Keys in [from, to), in order.
  virtual Status scan(const std::string& from, const std::string& to, const Visit& visit) const = 0;
};

// A state that one command after another changes; each sees what earlier ones did.
class State : public View {
 public:
  virtual void put(std::string key, std::string value) = 0;
  virtual void remove(std::string key) = 0;
  virtual void remove_range(std::string from, std::string to) = 0;
};

}  // namespace evercert::coordination
