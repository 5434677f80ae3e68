// SPDX-License-Identifier: Apache-2.0
#include "api/admin/standby_shares.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/log.h"
#include "store/membership.h"
#include "store/standby_duty.h"

namespace evercert::api {
namespace {

std::optional<NodeId> node_of(std::string_view identity, std::string_view prefix) {
  if (!identity.starts_with(prefix)) return std::nullopt;
  const std::string_view digits = identity.substr(prefix.size());
  NodeId node;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), node.value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return node;
}

}  // namespace

void StandbyShares::mount(Router& router) {
  const auto now = [](net::HttpResponse response) -> Task<net::HttpResponse> { co_return response; };
  router.add("GET", "/v1/standby/{issuer}/share",
             [this, now](net::HttpRequest request, auto parts) { return now(give(request, parts[0])); });
}

net::HttpResponse StandbyShares::give(const net::HttpRequest& request, const std::string& issuer) const {
  // Of the TLS connection itself: what an edge says of its client does not count here.
  const auto node = node_of(request.client_identity, node_identities_);
  if (!node) return net::problem(403, "Forbidden", "shares of standbys are for the nodes of this cluster");
  const auto named = std::find(names_.begin(), names_.end(), issuer);
  const auto share = shares_.find(issuer);
  if (named == names_.end() || share == shares_.end())
    return net::problem(404, "Not Found", "this region has no share of a standby of '" + issuer.substr(0, 64) + "'");
  const RegionId region{static_cast<std::uint8_t>(named - names_.begin() + 1)};
  const auto view = store_.membership();
  const store::Activation active = store::crl_activation(view->record, region);
  const bool fenced = store::silenced(store::member_of(view->record, region).state());
  if (!fenced || active.signer != region_of(*node)) {
    log_warning("standby: node " + std::to_string(node->value) + " asked for the share of " + issuer +
                " and does not stand in for it in epoch " + std::to_string(view->record.epoch()));
    return net::problem(403, "Forbidden",
                        "in epoch " + std::to_string(view->record.epoch()) + " your region does not stand in for " +
                            issuer + ", as this node knows it");
  }
  log_warning("standby: gave node " + std::to_string(node->value) + " the share of " + issuer +
              " under the activation of epoch " + std::to_string(active.epoch));
  net::HttpResponse response;
  response.status = 200;
  response.headers.set("Content-Type", "text/plain");
  response.headers.set("Cache-Control", "no-store");
  response.body = share->second;
  return response;
}

}  // namespace evercert::api
