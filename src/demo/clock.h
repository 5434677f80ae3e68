// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/os/system.h"

namespace evercert::demo {

inline Instant now() { return os::monotonic_clock().now(); }

}  // namespace evercert::demo
