// SPDX-License-Identifier: Apache-2.0
// Names to and from OpenSSL's GENERAL_NAMES. For .cc files only.
#pragma once

#include <vector>

#include "pki/names.h"
#include "pki/openssl.h"

namespace evercert::pki {

// A GeneralName (RFC 5280 section 4.2.1.6) by its tag and contents. kInvalid as below.
Result<Name> name_from_octets(int tag, std::string_view content);
// kInvalid for kinds other than DNS, IP, URI and e-mail, and for bytes that are no text.
Result<std::vector<Name>> from_general_names(const GENERAL_NAMES* names);
// The names must have passed check_name().
// One GeneralName. kInvalid: an IP name that is no address.
Result<std::string> general_name_der(const Name& name);
GeneralNamesPtr to_general_names(const std::vector<Name>& names);
// An address is an IP name, everything else a DNS name in lower case.
Name name_from_text(std::string_view text);

}  // namespace evercert::pki
