// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/guests.h"

namespace evercert::traffic {
namespace {

bool loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

// Its requests can fail by the client's own fault, and cost work each time.
bool can_be_futile(Criticality of) {
  return of == Criticality::kIssuance || of == Criticality::kRenewal || of == Criticality::kFutile;
}

}  // namespace

Guests::Guests(GuestOptions options, std::string cluster_prefix, Random& random)
    : options_(options),
      cluster_prefix_(std::move(cluster_prefix)),
      rates_(options.rates, SipKey::drawn(random)),
      futile_(options.futile, SipKey::drawn(random)) {}

bool Guests::exempt(const net::HttpRequest& request) const {
  return request.client_identity.starts_with(cluster_prefix_) ||
         (!options_.limit_loopback && loopback(request.peer_address));
}

std::string Guests::guest_of(const net::HttpRequest& request, bool from_edge) const {
  if (from_edge || exempt(request)) return {};
  return request.client_identity.empty() ? request.peer_address : request.client_identity;
}

Guests::Ruling Guests::rule(const net::HttpRequest& request, bool from_edge, Instant now) {
  Ruling out{classify(request.method, request.path), {}};
  if (from_edge || exempt(request)) return out;
  const std::string_view guest = request.client_identity.empty() ? request.peer_address : request.client_identity;
  // A bearer token is an account; which one it is nobody can read out of the table.
  const auto account = request.headers.find("Authorization");
  std::lock_guard lock(mutex_);
  if (can_be_futile(out.of) && futile_.futile(guest, now))
    out.of = classify(request.method, request.path, {.futile = true});
  const RateRuling ruling = rates_.ask({guest, request.peer_address, account.value_or("")}, 1, now);
  if (!ruling.admitted) out.refused = ruling;
  return out;
}

void Guests::answered(const std::string& guest, Criticality of, int status, Instant now) {
  if (guest.empty() || !can_be_futile(of)) return;
  // A failure of its own: not one of ours, and no "later".
  const bool failed = status >= 400 && status < 500 && status != 429 && status != 408;
  if (!failed && status >= 400) return;
  std::lock_guard lock(mutex_);
  if (failed) {
    futile_.failed(guest, now);
  } else {
    futile_.succeeded(guest);
  }
}

void Guests::adapt(bool overloaded, Instant now) {
  std::lock_guard lock(mutex_);
  rates_.adapt(overloaded, now);
}

double Guests::share() const {
  std::lock_guard lock(mutex_);
  return rates_.share();
}

}  // namespace evercert::traffic
