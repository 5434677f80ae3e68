// SPDX-License-Identifier: Apache-2.0
// Assertions for programmer errors. They stay on in production: a node that has broken its own rules stops, its
// peers carry on. Operating errors (disk, network, bad input) are never asserted, they are returned (result.h).
#pragma once

namespace evercert {

[[noreturn]] void check_failed(const char* condition, const char* why, const char* file, int line);

}  // namespace evercert

// Stops the process with file, line and reason when `condition` does not hold.
#define EC_CHECK(condition, why) \
  ((condition) ? static_cast<void>(0) : ::evercert::check_failed(#condition, (why), __FILE__, __LINE__))
