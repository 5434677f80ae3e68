// SPDX-License-Identifier: Apache-2.0
// The EDNS option by which a resolver says for whom it asks (RFC 7871). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "traffic/dns/address.h"

namespace evercert::traffic::dns {

struct ClientSubnet {
  AddressPrefix prefix;  // length 0: the client does not want to be told apart (section 7.1.2)
};

// The option's data, as in a query. Nothing: it is malformed, which must be answered with FORMERR (section 7.1.2).
std::optional<ClientSubnet> read_client_subnet(std::span<const std::uint8_t> data);
// The option's data for the answer: what was asked, and for how many bits the answer is true.
std::string write_client_subnet(const ClientSubnet& asked, int scope);

}  // namespace evercert::traffic::dns
