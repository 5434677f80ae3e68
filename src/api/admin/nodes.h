// SPDX-License-Identifier: Apache-2.0
// Which nodes vote, for operators: GET /v1/nodes, PUT and DELETE /v1/nodes/{region}/{zone}, and POST
// /v1/nodes/{region}/{zone}/replace, which exchanges one for another in a single change. See docs/cycles/topology.md.
#pragma once

#include <string>
#include <vector>

#include "api/rest/rest.h"
#include "api/rest/router.h"
#include "store/store.h"

namespace evercert::api {

struct NodeAddress {
  NodeId node;
  std::string address;
  std::uint16_t peer_port = 0, coordination_port = 0;
};

class Nodes {
 public:
  // Everything given outlives it. `regions`: names by RegionId, from 1. `file`: the nodes that the cluster file names.
  Nodes(const Rest& rest, store::Store& store, std::vector<std::string> regions, std::vector<NodeAddress> file)
      : rest_(rest), store_(store), regions_(std::move(regions)), file_(std::move(file)) {}
  void mount(Router& router);

 private:
  using Response = Task<net::HttpResponse>;
  struct Wish {
    std::vector<NodeAddress> add;
    std::vector<NodeId> remove;
    std::string reason;
  };
  Response list(net::HttpRequest request);
  Response put(net::HttpRequest request, std::string region, std::string zone);
  Response remove(net::HttpRequest request, std::string region, std::string zone);
  Response replace(net::HttpRequest request, std::string region, std::string zone);
  // 404: no such region. 409: the node is one already, or none; a serving region would lose its last. 202: it goes on.
  Response change(net::HttpRequest request, Wish wish);

  Result<NodeId> node_named(const std::string& region, const std::string& zone) const;
  Status can_be_reached(const NodeAddress& added) const;
  std::string name_of(NodeId node) const;
  std::string region_name(RegionId region) const;
  std::string describe(const store::MembershipView& view) const;  // JSON
  std::vector<store::v1::Replica> wanted(const store::MembershipView& view) const;

  const Rest& rest_;
  store::Store& store_;
  std::vector<std::string> regions_;
  std::vector<NodeAddress> file_;
};

}  // namespace evercert::api
