// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace evercert {

// "2026-01-31T12:00:00Z" (RFC 3339 section 5.6, UTC, whole seconds) of milliseconds since 1970.
std::string rfc3339(std::int64_t ms);

}  // namespace evercert
