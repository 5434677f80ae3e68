// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/answer_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "traffic/dns/query.h"

namespace evercert::traffic::dns {
namespace {

__extension__ typedef unsigned __int128 Wide;

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Multiply and fold, eight bytes at a time. Equality is checked on the bytes: this only has to spread them.
std::uint64_t hash_of(const std::uint8_t* bytes, std::size_t size, std::uint64_t seed) {
  std::uint64_t h = seed ^ size * 0x9e3779b97f4a7c15u;
  std::uint64_t word = 0;
  for (; size >= 8; bytes += 8, size -= 8) {
    std::memcpy(&word, bytes, 8);
    h = fold(h ^ word, 0xa0761d6478bd642fu);
  }
  word = 0;
  std::memcpy(&word, bytes, size);
  return fold(h ^ word, 0xe7037ed1a0b428dbu);
}

}  // namespace

AnswerCache::AnswerCache(std::size_t entries, std::uint64_t seed)
    : entries_(std::bit_ceil(std::max(entries, kWays))), sets_(entries_.size() / kWays), seed_(seed | 1) {}

bool AnswerCache::look_at(std::span<const std::uint8_t> message, std::size_t name_bytes) {
  if (message.size() > kMostQuery || message.size() < kHeaderBytes + name_bytes) return false;
  key_bytes_ = message.size() - 2;
  name_bytes_ = name_bytes;
  std::memcpy(key_, message.data() + 2, key_bytes_);
  // A label's length is below 'A': what is folded is letters.
  std::uint8_t* name = key_ + kHeaderBytes - 2;
  for (std::size_t i = 0; i < name_bytes; ++i)
    name[i] = static_cast<std::uint8_t>(name[i] + (static_cast<std::uint8_t>(name[i] - 'A') < 26 ? 32 : 0));
  hash_ = hash_of(key_, key_bytes_, seed_);
  return true;
}

AnswerCache::Kept* AnswerCache::set_of(std::uint64_t whose) const {
  return &entries_[(fold(hash_ ^ whose, 0x8ebc6af09c88c6e3u) & (sets_ - 1)) * kWays];
}

const AnswerCache::Kept* AnswerCache::find(std::uint64_t whose) const {
  const Kept* set = set_of(whose);
  for (std::size_t i = 0; i < kWays; ++i) {
    const Kept& kept = set[i];
    if (kept.hash == hash_ && kept.whose == whose && kept.epoch == epoch_ && kept.key.size() == key_bytes_ &&
        std::memcmp(kept.key.data(), key_, key_bytes_) == 0)
      return &kept;
  }
  return nullptr;
}

void AnswerCache::keep(std::uint64_t whose, std::string answer, ResponseKind kind, std::uint8_t rcode) {
  if (answer.size() > kMostAnswer) return;
  Kept* set = set_of(whose);
  Kept* place = std::find_if(set, set + kWays, [&](const Kept& kept) { return kept.epoch != epoch_; });
  if (place == set + kWays) place = set + turn_++ % kWays;
  place->key.assign(reinterpret_cast<const char*>(key_), key_bytes_);
  place->answer = std::move(answer);
  place->hash = hash_;
  place->whose = whose;
  place->epoch = epoch_;
  place->kind = kind;
  place->rcode = rcode;
  place->name_bytes = static_cast<std::uint16_t>(name_bytes_);
}

}  // namespace evercert::traffic::dns
