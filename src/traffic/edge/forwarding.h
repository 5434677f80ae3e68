// SPDX-License-Identifier: Apache-2.0
// What an edge changes in the headers of a request that it passes on. Pure.
#pragma once

#include <string_view>

#include "base/env.h"
#include "net/http.h"

namespace evercert::traffic {

// Headers between edges and nodes; from anybody else they are dropped.
inline constexpr std::string_view kEvercertPrefix = "Evercert-";
inline constexpr std::string_view kHop = "Evercert-Hop";  // the region whose edge passed a request on
inline constexpr std::string_view kClientIdentity = "Evercert-Client-Identity";
// Given to an issuance whose client gave no Idempotency-Key: it makes our own repetitions exact.
inline constexpr std::string_view kRequestId = "Evercert-Request-Id";  // 30 hexadecimal digits, lower case
// With a request id: 1 for the first endpoint of all that gets the request, growing. Only what carries 1 is surely new.
inline constexpr std::string_view kAttempt = "Evercert-Attempt";

// From a node with its 503: what was refused for want of a majority could be queued there. To a node: it shall be.
inline constexpr std::string_view kMayQueue = "Evercert-May-Queue", kQueue = "Evercert-Queue";

// From a node with its 503: there is no majority; which mode it is in. And: it is about to leave.
inline constexpr std::string_view kMode = "Evercert-Mode", kDraining = "Evercert-Draining";

// From a node with its 503: it is well, but another one keeps what was asked for.
inline constexpr std::string_view kElsewhere = "Evercert-Elsewhere";

// From a node, of a request that says to replace a certificate: whether it is a renewal that is due ("yes", "no").
inline constexpr std::string_view kRenewal = "Evercert-Renewal";

// The headers to pass on: without those of one connection, and from anybody but an edge without those that we trust.
net::Headers forwarded_headers(const net::HttpRequest& request, bool from_edge, Random& random);
// What names the client: its certificate, else its token, else its address. Lives as long as the request.
std::string_view client_name(const net::HttpRequest& request);
// How many endpoints were tried for this request before, as another edge says.
int earlier_attempts(const net::Headers& headers);

}  // namespace evercert::traffic
