// SPDX-License-Identifier: Apache-2.0
// What a controller writes down, as JSON: its state, which its successor goes on from, and the log, each entry of which
// holds the hash of the one before. Both are written in one transaction of the key space that compares the fencing
// token, so the log has every change of the state and no other.
//
// In the record times are wall times; in memory they are this process's monotonic ones. They are translated once, when
// a controller begins: a clock that jumps later changes nothing, and a time that seems to lie ahead counts as now.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "recovery/failover/model.h"

namespace evercert::recovery {

inline constexpr std::string_view kStateKey = "failover/state", kLogPrefix = "failover/log/",
                                  kAnchorKey = "failover/log-anchor", kSignersPrefix = "failover/signers/",
                                  kOrdersPrefix = "failover/orders/", kLeaderName = "failover/leader";

struct Times {
  Instant now;
  WallTime wall;
  Instant from_ms(std::int64_t ms) const;
  std::int64_t to_ms(Instant at) const { return wall.ms + (at - now).count() / 1000; }
};

std::string to_json(const State& state, const Times& times, const Cluster& cluster);
// kInvalid: it does not parse. Nobody acts on a state that is not understood.
Result<State> parse_state(std::string_view text, const Times& times);

// The key of an entry: in order of the numbers.
std::string log_key(std::uint64_t number);
// Gives the entry its place: `previous` and `hash`, which covers all that is in it.
void seal(LogEntry& entry, const std::string& previous);
std::string to_json(const LogEntry& entry);
Result<LogEntry> parse_entry(std::string_view text);
std::string to_json(const LogAnchor& anchor);
Result<LogAnchor> parse_anchor(std::string_view text);
// What is signed of them. That an entry is the anchor is another word than that it is an entry.
std::string signed_text(const LogEntry& entry);
std::string signed_text(const LogAnchor& anchor);
// kCorrupt: the entries, in order, are not as they were written: which, and how. Those that begin behind what was
// removed follow the anchor. Of the signatures see api/failover/log_check.h.
Status verify(const std::vector<LogEntry>& entries, const LogAnchor* anchor = nullptr);

std::string to_json(const Order& order);
Result<Order> parse_order(std::string_view text);

}  // namespace evercert::recovery
