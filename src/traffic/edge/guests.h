// SPDX-License-Identifier: Apache-2.0
// Who comes to an edge, and how often: the rate limits (policy/rate_limit.h) and the clients that always fail
// (policy/futile_clients.h), for several threads. Requests that another edge passes on were counted there.
#pragma once

#include <mutex>
#include <optional>

#include "base/env.h"
#include "net/http.h"
#include "traffic/edge/claims.h"
#include "traffic/policy/criticality.h"
#include "traffic/policy/futile_clients.h"
#include "traffic/policy/rate_limit.h"

namespace evercert::traffic {

struct GuestOptions {
  // Far above what one client needs, far below what would hurt: an operator who knows his clients sets less.
  RateLimitOptions rates{.client = {1000, 5000}, .prefix = {4000, 20'000}, .account = {1000, 5000}};
  FutileOptions futile;
  // Whose "renewal" was none is not believed for so long.
  FutileOptions liars{.failures = 1, .forget_after = 1h};
  bool limit_loopback = false;  // a load generator on the same machine is no stranger
};

class Guests {
 public:
  // `cluster_prefix`: identities that begin with this are of the cluster itself, and are not limited.
  Guests(GuestOptions options, std::string cluster_prefix, Random& random);

  struct Ruling {
    Criticality of = Criticality::kIssuance;
    std::optional<RateRuling> refused;
    std::string account{};  // of ACME, that it claims
    bool charge = false;    // when it has proved it
  };
  Ruling rule(const net::HttpRequest& request, bool from_edge, Instant now);
  // What the request was answered with. `renewal`: what the answer says of one that claimed to be a renewal.
  void answered(const std::string& guest, const Ruling& ruling, int status, std::optional<bool> renewal, Instant now);
  // By what name a request's failures are remembered; empty: they are not.
  std::string guest_of(const net::HttpRequest& request, bool from_edge) const;
  // At least once a second: is the edge overloaded?
  void adapt(bool overloaded, Instant now);
  double share() const;

 private:
  bool exempt(const net::HttpRequest& request) const;

  const GuestOptions options_;
  const std::string cluster_prefix_;
  mutable std::mutex mutex_;
  RateLimit rates_;
  FutileClients futile_, liars_;
};

}  // namespace evercert::traffic
