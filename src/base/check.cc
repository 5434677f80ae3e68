// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace evercert {

void check_failed(const char* condition, const char* why, const char* file, int line) {
  std::fprintf(stderr, "evercert: assertion failed at %s:%d: %s (%s)\n", file, line, condition, why);
  std::fflush(stderr);
  std::abort();
}

}  // namespace evercert
