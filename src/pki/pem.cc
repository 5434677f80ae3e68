// SPDX-License-Identifier: Apache-2.0
#include "pki/pem.h"

#include <optional>

#include "base/encoding.h"

namespace evercert::pki {
namespace {

constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ", kDashes = "-----";
constexpr std::size_t kLineCharacters = 64;

// The next line without its end and the white space before it; nullopt: there is none.
std::optional<std::string_view> take_line(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const auto end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  const auto last = line.find_last_not_of(" \t\r");
  return line.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// The label of a line that begins or ends a block.
std::optional<std::string_view> label_of(std::string_view line, std::string_view what) {
  if (!line.starts_with(what) || !line.ends_with(kDashes) || line.size() < what.size() + kDashes.size())
    return std::nullopt;
  line.remove_prefix(what.size());
  line.remove_suffix(kDashes.size());
  return line;
}

}  // namespace

std::string to_pem(std::string_view label, std::string_view der) {
  const std::string digits = to_base64(der);
  std::string out;
  constexpr std::size_t kFrame = 2 * 24;
  out.reserve(digits.size() + digits.size() / kLineCharacters + 2 * label.size() + kFrame);
  out.append(kBegin).append(label).append(kDashes).append("\n");
  for (std::size_t at = 0; at < digits.size(); at += kLineCharacters)
    out.append(digits, at, kLineCharacters).append("\n");
  return out.append(kEnd).append(label).append(kDashes).append("\n");
}

Result<std::vector<std::string>> from_pem(std::string_view label, std::string_view text) {
  std::vector<std::string> blocks;
  const auto damaged = [] { return fail(Code::kInvalid, "the PEM text is damaged"); };
  std::string digits;
  while (const auto line = take_line(text)) {
    const auto begun = label_of(*line, kBegin);
    if (!begun) continue;  // explanatory text between blocks (RFC 7468 section 2)
    digits.clear();
    std::optional<std::string_view> ended;
    while (!ended) {
      const auto next = take_line(text);
      if (!next) return damaged();
      ended = label_of(*next, kEnd);
      if (!ended) digits += *next;
    }
    auto der = from_base64(digits);
    if (*ended != *begun || !der || der->empty()) return damaged();
    // Old tools write NEW CERTIFICATE REQUEST.
    if (label == *begun || (label == "CERTIFICATE REQUEST" && *begun == "NEW CERTIFICATE REQUEST"))
      blocks.push_back(std::move(*der));
  }
  if (blocks.empty()) return fail(Code::kInvalid, "there is no PEM block '" + std::string(label) + "'");
  return blocks;
}

}  // namespace evercert::pki
