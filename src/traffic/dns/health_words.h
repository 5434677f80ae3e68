// SPDX-License-Identifier: Apache-2.0
// What regions say of each other (GET /v1/health, docs/health.md): a region is out when two regions say so, its own
// word counts as one, and no longer when two say that it is in and fewer than two that it is out, `spacing` later at
// the earliest: these words have waited already (health/verdict.h), and silence is no word. A name server sees a
// region's edges from outside; these see what lies behind them, too. A word that is old says nothing. Pure; one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace evercert::traffic::dns {

inline constexpr std::size_t kLargestHealth = 1 << 20;

class HealthWords {
 public:
  explicit HealthWords(std::vector<std::string> regions, Duration spacing = 30s);
  // What a node of the region says now. What is no such document says nothing.
  void said(std::size_t region, std::string_view document, Instant now);
  // Of each region: who says, or has said last, that it is out; empty: it is not. Call often.
  const std::vector<std::string>& review(Instant now);

 private:
  struct Word {
    std::vector<bool> out;  // by region
    Instant at;
  };
  const std::vector<std::string> regions_;
  const Duration spacing_;
  std::vector<std::string> out_;
  std::vector<Instant> since_;  // of those that are out
  std::vector<std::optional<Word>> words_;
};

}  // namespace evercert::traffic::dns
