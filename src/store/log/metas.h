// SPDX-License-Identifier: Apache-2.0
// For who keeps nothing but metas in a log and does not know their keys: degraded/queue_disk.h.
#pragma once

#include <map>
#include <string>

#include "store/log/log.h"

namespace evercert::store {

// As they are seen by Log::meta(); valid until the next change.
const std::map<std::string, std::string>& all_meta(const Log& log);

}  // namespace evercert::store
