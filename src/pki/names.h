// SPDX-License-Identifier: Apache-2.0
// Names that a certificate may carry (RFC 5280 section 4.2.1.6), checked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace evercert::pki {

enum class NameKind { kDns, kIp, kUri, kEmail };

struct Name {
  NameKind kind = NameKind::kDns;
  std::string value;  // DNS lower case; IP in text form; URI and e-mail as given
  friend auto operator<=>(const Name&, const Name&) = default;
};

inline constexpr std::size_t kMaxNames = 100;

// Letters, digits and hyphens; a wildcard as the whole leftmost label; at least two labels (kInvalid says what is
// wrong).
Status check_dns_name(std::string_view name, bool wildcard_allowed);
Status check_name(const Name& name);
std::string to_string(NameKind kind);

}  // namespace evercert::pki
