// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

namespace evercert {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kInvalid: return "invalid";
    case Code::kDenied: return "denied";
    case Code::kNotFound: return "not found";
    case Code::kConflict: return "conflict";
    case Code::kUnsupported: return "unsupported";
    case Code::kUnavailable: return "unavailable";
    case Code::kUnknownOutcome: return "outcome unknown";
    case Code::kExpired: return "deadline passed";
    case Code::kCorrupt: return "corrupt";
    case Code::kIo: return "input/output error";
    case Code::kInternal: return "internal error";
  }
  return "?";
}

}  // namespace evercert
