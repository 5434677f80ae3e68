// SPDX-License-Identifier: Apache-2.0
// A region's keys, from its token or from files, as its configuration says.
#pragma once

#include <memory>
#include <string>

#include "config/config.h"
#include "config/paths.h"
#include "keys/pkcs11.h"
#include "pki/signer.h"

namespace evercert::node {

// Labels: "issuing", and "ocsp-<issuer region>".
Result<std::shared_ptr<pki::Signer>> open_signer(const config::RegionConfig& region, const config::Paths& paths,
                                                 const std::string& label);
// Of a region whose keys lie in a token; nullptr: in files.
Result<std::shared_ptr<keys::Pkcs11Token>> open_token_of(const config::RegionConfig& region,
                                                         const config::Paths& paths);
Result<std::string> read_text_file(const std::string& path);

}  // namespace evercert::node
