// SPDX-License-Identifier: Apache-2.0
#include "coordination/layout.h"

namespace evercert::coordination {
namespace {

void append_number(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

std::string numbered(char kind, std::uint64_t value) {
  std::string out(1, kind);
  append_number(out, value, 8);
  return out;
}

std::string numbered(char kind, std::uint64_t value, std::uint64_t other) {
  std::string out = numbered(kind, value);
  append_number(out, other, 8);
  return out;
}

std::int64_t read_number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<std::uint8_t>(c);
  return static_cast<std::int64_t>(value);
}

}  // namespace

std::string meta_key() { return "m"; }

std::string encode(const Meta& meta) {
  std::string out;
  append_number(out, static_cast<std::uint64_t>(meta.revision), 8);
  append_number(out, static_cast<std::uint64_t>(meta.compacted), 8);
  return out;
}

Result<Meta> decode_meta(std::string_view bytes) {
  if (bytes.size() != 16) return fail(Code::kCorrupt, "the stored revision of the key space does not parse");
  return Meta{read_number(bytes.substr(0, 8)), read_number(bytes.substr(8))};
}

std::string key_key(std::string_view key) { return std::string("k").append(key); }

std::string history_key(std::int64_t revision, std::uint32_t sub) {
  std::string out = numbered('h', static_cast<std::uint64_t>(revision));
  append_number(out, sub, 4);
  return out;
}

std::string lease_key(std::int64_t lease) { return numbered('l', static_cast<std::uint64_t>(lease)); }
std::string attachment_prefix(std::int64_t lease) { return numbered('a', static_cast<std::uint64_t>(lease)); }
std::string attachment_key(std::int64_t lease, std::string_view key) { return attachment_prefix(lease).append(key); }
std::string session_key(std::uint64_t node) { return numbered('s', node); }

std::string answer_key(std::uint64_t node, std::uint64_t sequence) { return numbered('o', node, sequence); }
std::string answer_page_key(std::uint64_t node, std::uint64_t page) { return numbered('p', node, page); }

std::string end_of(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<std::uint8_t>(prefix.back()) + 1);
  return prefix;
}

KeyRange key_range(std::string_view key, std::string_view range_end) {
  KeyRange range{std::string(key), {}};
  if (range_end.empty()) {
    range.to = range.from + '\0';
  } else if (range_end != std::string_view("\0", 1)) {
    range.to = range_end;
    if (range.to < range.from) range.to = range.from;  // nothing is in it
  }
  return range;
}

}  // namespace evercert::coordination
