// SPDX-License-Identifier: Apache-2.0
// How often a node's forecasts came true, as it is kept over restarts: {"forecasts": {"disk": {"warned_and_came": 11,
// "warned_in_vain": 1, "came_unwarned": 0, "rightly_quiet": 240}}}. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "health/forecast.h"

namespace evercert::health {

using TrackRecord = std::map<std::string, BackTest::Count>;  // by what was forecast

std::string to_json(const TrackRecord& record);
// kInvalid: it is none, with what is wrong.
Result<TrackRecord> parse_track_record(std::string_view text);

}  // namespace evercert::health
