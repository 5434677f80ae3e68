// SPDX-License-Identifier: Apache-2.0
// Identifiers of orders: DNS names (RFC 8555 section 7.1.3) and IP addresses (RFC 8738).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "api/acme/jws.h"
#include "pki/names.h"
#include "store/proto/records.pb.h"

namespace evercert::api {

// The identifiers of a newOrder payload: in the form in which certificates carry them, sorted, each once. Those that
// are not issued are told one by one: unsupportedIdentifier, rejectedIdentifier.
AcmeResult<std::vector<store::v1::Identifier>> read_identifiers(const nlohmann::json& payload);

// Whether a certificate for `names` is exactly what was ordered.
bool same_names(const store::v1::Order& order, const std::vector<pki::Name>& names);

}  // namespace evercert::api
