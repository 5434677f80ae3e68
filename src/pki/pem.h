// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace evercert::pki {

// Wraps DER under a label such as "CERTIFICATE".
std::string to_pem(std::string_view label, std::string_view der);
// All blocks of `label`, in order. kInvalid when there is none or one is damaged.
Result<std::vector<std::string>> from_pem(std::string_view label, std::string_view text);

}  // namespace evercert::pki
