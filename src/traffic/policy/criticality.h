// SPDX-License-Identifier: Apache-2.0
// What a request is worth when not all can be served. Source: the criticalities of "Handling overload" in Google's Site
// Reliability Engineering, with this CA's own order: who relies on a certificate must learn that it is revoked, who has
// one must keep one; the rest can come later. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace evercert::traffic {

enum class Criticality : std::uint8_t {
  kOperator,    // readiness checks and what an operator orders: without these an overload cannot be ended
  kRevocation,  // and the nonces and the directory that a revocation by ACME begins with
  kOcsp,
  kCrl,       // and the issuers' certificates
  kRenewal,   // renewals in their window, and what goes on with an order that has begun: work is in it already
  kIssuance,  // new certificates, accounts and single reads
  kListing,   // long answers; operators' overviews
  kFutile,    // of clients that are known to fail
};
inline constexpr std::size_t kCriticalities = 8;

// Served until nothing more can be: never shed to make room for others, only at the hard bound.
constexpr bool is_protected(Criticality c) { return c <= Criticality::kCrl; }
std::string_view to_string(Criticality c);

struct ClientHints {
  bool renewal = false;  // the request replaces a certificate that is in its window (in_renewal_window)
  bool futile = false;   // FutileClients
};

// By method and path (without the query), as the interfaces have them. What is not known counts as new issuance. A hint
// moves issuance alone: whatever a client's past, its revocation is one.
Criticality classify(std::string_view method, std::string_view path, ClientHints hints = {});

// The time in which a renewal is due: from two thirds of the life on (half of it below 10 days, as RFC 9773 clients are
// advised when no window is told), until a week after the end, since an expired one is the most urgent of all. false
// when not_after is not after not_before.
bool in_renewal_window(WallTime not_before, WallTime not_after, WallTime now);

}  // namespace evercert::traffic
