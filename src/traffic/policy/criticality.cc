// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/criticality.h"

namespace evercert::traffic {
namespace {

bool is_or_below(std::string_view path, std::string_view root) {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

// What an order goes on with after new-order.
bool continues_an_order(std::string_view path) {
  return path.starts_with("/acme/order/") || path.starts_with("/acme/authz/") || path.starts_with("/acme/chall/") ||
         path.starts_with("/acme/cert/") || path.starts_with("/acme/renewal-info/");
}

}  // namespace

std::string_view to_string(Criticality c) {
  switch (c) {
    case Criticality::kOperator: return "operator";
    case Criticality::kRevocation: return "revocation";
    case Criticality::kOcsp: return "ocsp";
    case Criticality::kCrl: return "crl";
    case Criticality::kRenewal: return "renewal";
    case Criticality::kIssuance: return "issuance";
    case Criticality::kListing: return "listing";
    case Criticality::kFutile: return "futile";
  }
  return "unknown";
}

Criticality classify(std::string_view method, std::string_view path, ClientHints hints) {
  const bool read = method == "GET" || method == "HEAD";
  if (is_or_below(path, "/ocsp")) return Criticality::kOcsp;
  if (read && (path.starts_with("/crl/") || path.starts_with("/ca/"))) return Criticality::kCrl;
  if (path == "/healthz" || path == "/readyz" || path == "/metrics" || path == "/v1/status")
    return Criticality::kOperator;
  if (is_or_below(path, "/v1/regions") || is_or_below(path, "/v1/nodes") || is_or_below(path, "/v1/standby"))
    return Criticality::kOperator;
  if (path == "/acme/revoke-cert" || path == "/acme/new-nonce" || path == "/acme/directory")
    return Criticality::kRevocation;
  if (method == "POST" && path.starts_with("/v1/certificates/") && path.ends_with("/revoke"))
    return Criticality::kRevocation;
  // Leases, locks and keys are what services of the operator's hold on to; a lease that is not renewed in time is lost.
  if (is_or_below(path, "/v1/leases") || is_or_below(path, "/v1/locks") || is_or_below(path, "/v1/kv"))
    return Criticality::kRenewal;
  if (read && (path == "/v1/certificates" || path == "/v1/queued" || path == "/v1/reconciliations"))
    return Criticality::kListing;
  if (path.starts_with("/acme/acct/") && path.ends_with("/orders")) return Criticality::kListing;
  if (is_or_below(path, "/v1/watch") || path == "/v1/compaction") return Criticality::kListing;
  if (hints.futile) return Criticality::kFutile;
  if (hints.renewal || continues_an_order(path)) return Criticality::kRenewal;
  return Criticality::kIssuance;
}

bool in_renewal_window(WallTime not_before, WallTime not_after, WallTime now) {
  if (not_after <= not_before) return false;
  constexpr std::int64_t kDay = 24LL * 3600 * 1000;
  const std::int64_t life = not_after.ms - not_before.ms;
  const std::int64_t start = not_before.ms + (life < 10 * kDay ? life / 2 : life / 3 * 2);
  return now.ms >= start && now.ms <= not_after.ms + 7 * kDay;
}

}  // namespace evercert::traffic
