// SPDX-License-Identifier: Apache-2.0
// What an operator asks and tells one edge, on a listener of its own:
//   GET  /edge/status                          what it knows, in JSON
//   POST /edge/canary?percent=5                the new release's share; also begins anew after a rollback
//   POST /edge/drain?endpoint=ADDRESS:PORT     no new requests to this node or edge while others are well
//   POST /edge/undrain?endpoint=ADDRESS:PORT
//   POST /edge/renew                           orders a new certificate for the edge's own names
#pragma once

#include "net/http.h"
#include "traffic/certificate/own_certificate.h"
#include "traffic/edge/backends.h"
#include "traffic/edge/releases.h"

namespace evercert::traffic {

// The answer to a change; nullopt: it is none of these. Errors are problems (RFC 7807) that say what would be right.
// `certificate`: null where the edge has none of its own.
std::optional<net::HttpResponse> admin_change(const net::HttpRequest& request, Backends& backends, Releases& releases,
                                              OwnCertificate* certificate);

}  // namespace evercert::traffic
