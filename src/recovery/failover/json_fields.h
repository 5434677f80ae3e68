// SPDX-License-Identifier: Apache-2.0
// Fields of JSON documents that come from elsewhere. For .cc files only.
#pragma once

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace evercert::recovery {

// Reads the fields of one object. The first that does not fit is remembered, and nothing is read after it.
class Fields {
 public:
  Fields(const nlohmann::json& in, std::string_view what) : in_(in), what_(what) {
    if (!in.is_object()) wrong("it is no object");
  }
  bool has(const char* name) const { return !error_.message.size() && in_.contains(name) && !in_[name].is_null(); }

  std::string text(const char* name, std::size_t most) {
    if (!has(name)) return {};
    if (!in_[name].is_string()) return wrong(name, "is no text"), std::string();
    auto value = in_[name].get<std::string>();
    if (value.size() > most) return wrong(name, "is too long"), std::string();
    return value;
  }
  double number(const char* name, double otherwise, double least, double most) {
    if (!has(name)) return otherwise;
    const double value = in_[name].is_number() ? in_[name].get<double>() : std::nan("");
    if (!(value >= least && value <= most))
      return wrong(name, "is no number from " + short_form(least) + " to " + short_form(most)), otherwise;
    return value;
  }
  std::int64_t whole(const char* name, std::int64_t otherwise, std::int64_t least, std::int64_t most) {
    if (!has(name)) return otherwise;
    const auto& field = in_[name];
    const bool fits =
        field.is_number_integer() &&
        !(field.is_number_unsigned() && field.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) &&
        field.get<std::int64_t>() >= least && field.get<std::int64_t>() <= most;
    if (!fits)
      return wrong(name, "is no whole number from " + std::to_string(least) + " to " + std::to_string(most)), otherwise;
    return field.get<std::int64_t>();
  }
  std::uint64_t count(const char* name) {
    return static_cast<std::uint64_t>(whole(name, 0, 0, std::numeric_limits<std::int64_t>::max()));
  }
  bool flag(const char* name, bool otherwise) {
    if (!has(name)) return otherwise;
    if (!in_[name].is_boolean()) return wrong(name, "is neither true nor false"), otherwise;
    return in_[name].get<bool>();
  }
  Duration milliseconds(const char* name) {
    return std::chrono::milliseconds(whole(name, 0, 0, std::int64_t{1} << 40));
  }
  // An object or a list of at most `most`; an empty one when there is none.
  const nlohmann::json& many(const char* name, bool list, std::size_t most) {
    static const nlohmann::json kNone = nlohmann::json::object(), kEmpty = nlohmann::json::array();
    const auto& none = list ? kEmpty : kNone;
    if (!has(name)) return none;
    const auto& field = in_[name];
    if (field.is_array() != list || (!list && !field.is_object()) || field.size() > most)
      return wrong(name, list ? "is no list, or too long" : "is no object, or too large"), none;
    return field;
  }
  void wrong(std::string_view name, std::string_view how) { wrong("'" + std::string(name) + "' " + std::string(how)); }
  void wrong(std::string how) {
    if (error_.message.empty()) error_ = {Code::kInvalid, std::string(what_) + ": " + std::move(how)};
  }
  Status status() const { return error_.message.empty() ? Status{} : Status(fail(error_)); }

 private:
  static std::string short_form(double value) { return nlohmann::json(value).dump(); }

  const nlohmann::json& in_;
  std::string_view what_;
  Error error_;
};

// A key of an object that is a number from 1 to `most`, as to_string() writes it; 0: it is none.
inline std::uint64_t number_of(const std::string& key, std::uint64_t most) {
  if (key.empty() || key.size() > 9 || key[0] == '0' || key.find_first_not_of("0123456789") != key.npos) return 0;
  const std::uint64_t value = std::stoul(key);
  return value <= most ? value : 0;
}

inline std::int64_t to_ms(Duration duration) { return duration.count() / 1000; }

}  // namespace evercert::recovery
