// SPDX-License-Identifier: Apache-2.0
#include "health/dependencies.h"

#include <cmath>
#include <cstdio>

namespace evercert::health {
namespace {

constexpr double kGoodOffsetMs = 2000, kBadOffsetMs = 10'000;

}  // namespace

CheckResult judge_reads(const std::vector<GroupRead>& reads) {
  std::string stale;
  for (const GroupRead& read : reads) {
    if (!read.fresh) stale += (stale.empty() ? "" : ", ") + read.group;
  }
  if (stale.empty()) return {true, {}, {}};
  return {false, {}, "no fresh read of " + stale + ": no majority is reached"};
}

Score judge_clock(std::int64_t offset_ms, bool trusted) {
  const double off = std::abs(static_cast<double>(offset_ms));
  char text[96];
  std::snprintf(text, sizeof text, "the clock is %.1f s %s the median of its peers'", off / 1000,
                offset_ms < 0 ? "behind" : "ahead of");
  if (!trusted) return {0, {{100, std::string(text) + ", and nothing is signed"}}};
  return measured(off, kGoodOffsetMs, kBadOffsetMs, text);
}

}  // namespace evercert::health
