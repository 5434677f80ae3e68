// SPDX-License-Identifier: Apache-2.0
// Answers that were worked out before, by the bytes of the question. Bounded memory. Pure; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "traffic/dns/rate_limit.h"

namespace evercert::traffic::dns {

// Whose answer it is: Choice::key() of those that are sent to the same regions, or this, when all get the same.
inline constexpr std::uint64_t kAnybody = 0xfefefefefefefefe;

class AnswerCache {
 public:
  static constexpr std::size_t kMostQuery = 512, kMostAnswer = 4096;

  struct Kept {
    std::string key, answer;
    std::uint64_t hash = 0, whose = 0, epoch = 0;
    ResponseKind kind = ResponseKind::kAnswer;
    std::uint8_t rcode = 0;
    std::uint16_t name_bytes = 0;
  };

  // `seed`: unpredictable, so that nobody can choose queries that share a place.
  AnswerCache(std::size_t entries, std::uint64_t seed);

  // To be called first, once for each query: what all behind it are about. Everything behind the message's id is
  // compared, its name of `name_bytes` behind the header without regard to case. False: too long to be kept.
  bool look_at(std::span<const std::uint8_t> message, std::size_t name_bytes);
  // Null: not known. Good until the next keep().
  const Kept* find(std::uint64_t whose) const;
  void keep(std::uint64_t whose, std::string answer, ResponseKind kind, std::uint8_t rcode);
  void clear() { ++epoch_; }

 private:
  static constexpr std::size_t kWays = 4;
  Kept* set_of(std::uint64_t whose) const;

  mutable std::vector<Kept> entries_;
  std::size_t sets_;
  std::uint64_t seed_, epoch_ = 1;
  std::size_t turn_ = 0;
  // The query that is looked at.
  std::uint8_t key_[kMostQuery];
  std::size_t key_bytes_ = 0, name_bytes_ = 0;
  std::uint64_t hash_ = 0;
};

}  // namespace evercert::traffic::dns
