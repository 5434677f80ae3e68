// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "coordination/planted.h"

namespace evercert::apps {

// Null: there is no such bug of the key space.
const coordination::PlantedBug* space_bug(std::string_view name);
// Exit status: 1 when a seed breaks a promise. `bug` may be null.
int run_space_seeds(std::uint64_t first, std::uint64_t count, const coordination::PlantedBug* bug);

}  // namespace evercert::apps
