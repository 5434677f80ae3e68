// SPDX-License-Identifier: Apache-2.0
// SipHash-2-4 (Aumasson and Bernstein, 2012): a hash with a secret key, for tables whose keys strangers choose. Who
// does not know the key cannot make names that meet in one place. Pure; O(length), allocates nothing.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/env.h"

namespace evercert::traffic {

struct SipKey {
  std::uint64_t low = 0, high = 0;
  static SipKey drawn(Random& random) {
    const std::uint64_t low = random.next();
    return {low, random.next()};
  }
};

std::uint64_t sip_hash(const SipKey& key, std::string_view bytes);

}  // namespace evercert::traffic
