// SPDX-License-Identifier: Apache-2.0
// /v1/queued and /v1/reconciliations: what waits for a majority, what became of it, and what was done after healing. A
// node tells of its own queue; an id says whose it is, so that an edge finds the node that keeps it.
#pragma once

#include <nlohmann/json.hpp>

#include "api/rest/rest.h"
#include "degraded/desk.h"

namespace evercert::api {

nlohmann::json describe_queued(const degraded::v1::Operation& operation);
nlohmann::json describe_reconciliation(const degraded::v1::Reconciliation& report);

class Queued {
 public:
  // `place_of`: the name of a node, for people.
  Queued(Rest& rest, ca::CertificateAuthority& ca, degraded::Desk& desk, NodeId self,
         std::function<std::string(NodeId)> place_of)
      : rest_(rest), ca_(ca), desk_(desk), self_(self), place_of_(std::move(place_of)) {}
  void mount(Router& router);

 private:
  Task<net::HttpResponse> list(net::HttpRequest request);
  Task<net::HttpResponse> get(net::HttpRequest request, std::string id);
  Task<net::HttpResponse> drop(net::HttpRequest request, std::string id);
  Task<net::HttpResponse> reconciliations(net::HttpRequest request);
  // What is to be answered when the id is not this node's.
  std::optional<net::HttpResponse> elsewhere(const std::string& id) const;

  Rest& rest_;
  ca::CertificateAuthority& ca_;
  degraded::Desk& desk_;
  NodeId self_;
  std::function<std::string(NodeId)> place_of_;
};

}  // namespace evercert::api
