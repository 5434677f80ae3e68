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

// No bearer token is written like that.
std::string table_name(const std::string& account) { return account.empty() ? account : "acme " + account; }

}  // namespace

Guests::Guests(GuestOptions options, std::string cluster_prefix, Random& random)
    : options_(options),
      cluster_prefix_(std::move(cluster_prefix)),
      rates_(options.rates, SipKey::drawn(random)),
      futile_(options.futile, SipKey::drawn(random)),
      liars_(options.liars, SipKey::drawn(random)) {}

bool Guests::exempt(const net::HttpRequest& request) const {
  return request.client_identity.starts_with(cluster_prefix_) ||
         (!options_.limit_loopback && loopback(request.peer_address));
}

std::string Guests::guest_of(const net::HttpRequest& request, bool from_edge) const {
  if (from_edge || exempt(request)) return {};
  return request.client_identity.empty() ? request.peer_address : request.client_identity;
}

Guests::Ruling Guests::rule(const net::HttpRequest& request, bool from_edge, Instant now) {
  Ruling out;
  out.of = classify(request.method, request.path);
  // What another edge has counted, and the cluster's own, is as much worth as anybody's.
  const bool counted = !from_edge && !exempt(request);
  Claims claims = read_claims(request);
  out.account = std::move(claims.account);
  const std::string_view guest = request.client_identity.empty() ? request.peer_address : request.client_identity;
  std::lock_guard lock(mutex_);
  ClientHints hints;
  hints.renewal = claims.renewal && (!counted || !liars_.futile(guest, now));
  hints.futile = counted && can_be_futile(out.of) && futile_.futile(guest, now);
  if (hints.renewal || hints.futile) out.of = classify(request.method, request.path, hints);
  if (!counted) return out;
  out.charge = !out.account.empty();
  // A bearer token is an account; which one it is nobody can read out of the table.
  const auto token = request.headers.find("Authorization");
  const RateRuling ruling =
      rates_.ask({guest, request.peer_address, token.value_or(""), table_name(out.account)}, 1, now);
  if (!ruling.admitted) out.refused = ruling;
  return out;
}

void Guests::answered(const std::string& guest, const Ruling& ruling, int status, std::optional<bool> renewal,
                      Instant now) {
  if (guest.empty()) return;
  std::lock_guard lock(mutex_);
  // Only what its key has signed is done.
  if (ruling.charge && status < 400) rates_.proved(table_name(ruling.account), 1, now);
  if (renewal) *renewal ? liars_.succeeded(guest) : liars_.failed(guest, now);
  if (!can_be_futile(ruling.of)) return;
  // A failure of its own: not one of ours, and no "later".
  const bool failed = status >= 400 && status < 500 && status != 429 && status != 408;
  if (failed) futile_.failed(guest, now);
  if (status < 400) futile_.succeeded(guest);
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
