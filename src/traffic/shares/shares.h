// SPDX-License-Identifier: Apache-2.0
// How much of its usual traffic each region is to get, in per cent: a document of the key space, under kSharesKey, that
// the failover controller writes and name servers read. It narrows what health checks leave and never widens it.
// Whoever has none, or cannot reach anybody, goes on with the last one it had, and with 100 everywhere when it never
// had one: nothing waits for a controller. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace evercert::traffic {

inline constexpr std::string_view kSharesKey = "failover/shares";

struct Shares {
  std::map<std::string, int> percent;  // by region, 0 to 100; a region that is not named has 100
  std::string by;                      // who wrote it, and for what
  std::int64_t revision = 0;           // of the key space, grows with each change; 0: there never was one

  int of(const std::string& region) const {
    const auto named = percent.find(region);
    return named == percent.end() ? 100 : named->second;
  }
};

std::string to_json(const Shares& shares);
// kInvalid: not such a document. Who leads traffic by it and finds that it leaves no region any does without it.
Result<Shares> parse_shares(std::string_view text);

}  // namespace evercert::traffic
