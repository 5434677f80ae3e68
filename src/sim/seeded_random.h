// SPDX-License-Identifier: Apache-2.0
// All chance of a simulation: xoshiro256** (Blackman and Vigna), seeded by splitmix64.
#pragma once

#include <array>

#include "base/env.h"

namespace evercert::sim {

class SeededRandom : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) {
    for (auto& word : state_) {
      seed += 0x9e3779b97f4a7c15ull;
      std::uint64_t z = seed;
      z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
      z = (z ^ z >> 27) * 0x94d049bb133111ebull;
      word = z ^ z >> 31;
    }
  }
  void fill(std::span<std::uint8_t> out) override {
    for (std::size_t i = 0; i < out.size(); i += 8) {
      const std::uint64_t v = draw();
      for (std::size_t k = 0; k < 8 && i + k < out.size(); ++k) out[i + k] = static_cast<std::uint8_t>(v >> 8 * k);
    }
  }
  double uniform() { return static_cast<double>(draw() >> 11) * 0x1.0p-53; }
  bool chance(double p) { return uniform() < p; }
  Duration between(Duration low, Duration high) {
    return low + Duration{static_cast<std::int64_t>(uniform() * static_cast<double>((high - low).count()))};
  }

 private:
  static std::uint64_t rotl(std::uint64_t x, int k) { return x << k | x >> (64 - k); }
  std::uint64_t draw() {
    const std::uint64_t result = rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return result;
  }
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace evercert::sim
