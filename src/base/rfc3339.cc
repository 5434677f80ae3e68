// SPDX-License-Identifier: Apache-2.0
#include "base/rfc3339.h"

#include <ctime>

namespace evercert {

std::string rfc3339(std::int64_t ms) {
  const std::time_t t = ms / 1000;
  std::tm parts{};
  gmtime_r(&t, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace evercert
