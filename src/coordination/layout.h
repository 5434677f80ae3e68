// SPDX-License-Identifier: Apache-2.0
// How coordination lies in the state: a durable format.
//
//   m                        revision and compacted revision, eight bytes each
//   k <key>                  mvccpb.KeyValue: the key as it is now
//   h <revision> <sub>       mvccpb.Event: what a revision did, with the value before; since the compacted revision
//   l <lease>                v1.Lease
//   a <lease> <key>          empty: the key goes when the lease does
//   s <node>                 v1.Session of a proposing node
//   p <node> <sequence / 16> v1.Answers, until the proposer says that it has them all
//   o <node> <sequence>      v1.Answer that is too long for a page of others
//
// Numbers are big-endian, eight bytes (sub: four).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace evercert::coordination {

struct Meta {
  std::int64_t revision = 1;  // of the last change; an empty key space has revision 1
  std::int64_t compacted = 0;
};

std::string meta_key();
std::string encode(const Meta& meta);
Result<Meta> decode_meta(std::string_view bytes);

std::string key_key(std::string_view key);
std::string history_key(std::int64_t revision, std::uint32_t sub = 0);
std::string lease_key(std::int64_t lease);
std::string attachment_prefix(std::int64_t lease);
std::string attachment_key(std::int64_t lease, std::string_view key);
std::string session_key(std::uint64_t node);
std::string answer_key(std::uint64_t node, std::uint64_t sequence);
// Answers are many, small and soon forgotten: as a page they are one record instead of sixteen, and as many removals.
inline constexpr std::uint64_t kAnswersOfAPage = 16;
std::string answer_page_key(std::uint64_t node, std::uint64_t page);
// The first key that does not begin with `prefix`.
std::string end_of(std::string prefix);

// A range as requests name it: one key, [key, end), or from the key on (end is a zero byte).
struct KeyRange {
  std::string from, to;  // to is empty: no end
  bool contains(std::string_view key) const { return key >= from && (to.empty() || key < to); }
};
KeyRange key_range(std::string_view key, std::string_view range_end);

}  // namespace evercert::coordination
