// SPDX-License-Identifier: Apache-2.0
// Last checks of what is about to be signed, on the encoded bytes and not on what made them. Structure alone is looked
// at, so no throw-away signature is made: it would cost more than all the lints and find nothing.
#pragma once

#include <string_view>

#include "base/result.h"
#include "pki/certificate.h"

namespace evercert::pki {

// kInvalid: "lint <name>: <finding>".
Status lint(const Profile& profile, const CertificateRequest& request, std::string_view tbs);

}  // namespace evercert::pki
