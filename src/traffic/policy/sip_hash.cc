// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/sip_hash.h"

#include <bit>

namespace evercert::traffic {
namespace {

struct State {
  std::uint64_t a, b, c, d;  // v0 to v3 of the paper
  void rounds(int n) {
    for (int i = 0; i < n; ++i) {
      a += b;
      c += d;
      b = std::rotl(b, 13) ^ a;
      d = std::rotl(d, 16) ^ c;
      a = std::rotl(a, 32);
      c += b;
      a += d;
      b = std::rotl(b, 17) ^ c;
      d = std::rotl(d, 21) ^ a;
      c = std::rotl(c, 32);
    }
  }
  void take(std::uint64_t word) {
    d ^= word;
    rounds(2);
    a ^= word;
  }
};

}  // namespace

std::uint64_t sip_hash(const SipKey& key, std::string_view bytes) {
  State state{key.low ^ 0x736f6d6570736575, key.high ^ 0x646f72616e646f6d, key.low ^ 0x6c7967656e657261,
              key.high ^ 0x7465646279746573};
  std::uint64_t word = 0;
  std::size_t at = 0;
  for (const char c : bytes) {
    word |= static_cast<std::uint64_t>(static_cast<unsigned char>(c)) << 8 * (at % 8);
    if (++at % 8 == 0) {
      state.take(word);
      word = 0;
    }
  }
  state.take(word | static_cast<std::uint64_t>(at & 0xff) << 56);
  state.c ^= 0xff;
  state.rounds(4);
  return state.a ^ state.b ^ state.c ^ state.d;
}

}  // namespace evercert::traffic
