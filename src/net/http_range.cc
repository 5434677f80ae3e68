// SPDX-License-Identifier: Apache-2.0
#include "net/http_range.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace evercert::net {
namespace {

struct Asked {
  std::optional<std::uint64_t> first, last;  // without the first: so many at the end
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Asked> parse(std::string_view range) {
  if (!range.starts_with("bytes=")) return std::nullopt;
  range.remove_prefix(6);
  const auto dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view first = range.substr(0, dash), last = range.substr(dash + 1);
  const Asked asked{number(first), number(last)};
  const bool fine = (first.empty() || asked.first) && (last.empty() || asked.last) && (asked.first || asked.last) &&
                    (!asked.first || !asked.last || *asked.first <= *asked.last);
  return fine ? std::optional(asked) : std::nullopt;
}

}  // namespace

void take_range(HttpResponse& response, std::string_view range, std::string_view if_range) {
  const auto tag = response.headers.find("ETag");
  if (response.status != 200 || response.prepared || !tag) return;
  if (!if_range.empty() && (if_range != *tag || tag->starts_with("W/"))) return;
  const auto asked = parse(range);
  if (!asked) return;
  const std::uint64_t size = response.bytes().size();
  const std::uint64_t last = asked->first ? std::min(asked->last.value_or(size), size - 1) : size - 1;
  const std::uint64_t first = asked->first ? *asked->first : size - std::min(size, *asked->last);
  if (size == 0 || first >= size) {
    response = problem(416, reason_phrase(416), "there are " + std::to_string(size) + " bytes");
    response.headers.set("Content-Range", "bytes */" + std::to_string(size));
    return;
  }
  response.body = response.bytes().substr(first, last - first + 1);
  response.shared_body = nullptr;
  response.status = 206;
  response.headers.set("Content-Range",
                       "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" + std::to_string(size));
}

}  // namespace evercert::net
