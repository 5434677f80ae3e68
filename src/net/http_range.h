// SPDX-License-Identifier: Apache-2.0
// A part of an answer for a client that has the rest (RFC 9110 section 14): one range of bytes. Pure. For .cc files of
// net only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace evercert::net {

// Makes of a whole answer (200, with an ETag) the part that `range` asks for (206), or says that there is none (416).
// Anything else is left alone, as is an answer that `if_range`, when it is not empty, does not name: several ranges,
// other units, a range that makes no sense.
void take_range(HttpResponse& response, std::string_view range, std::string_view if_range);

}  // namespace evercert::net
