// SPDX-License-Identifier: Apache-2.0
// The operator's hand on membership: who serves, and fence, unfence, drain; PUT adds a region, DELETE removes one for
// good. /v1/regions; errors are RFC 7807 problems.
#pragma once

#include <string>
#include <vector>

#include "api/admin/nodes.h"
#include "api/rest/rest.h"
#include "api/rest/router.h"
#include "store/store.h"

namespace evercert::api {

class Regions {
 public:
  // Everything given outlives it. `rest` knows who may do what; `names` by RegionId, from 1, `witnesses` of them and
  // `file`, the nodes, as the cluster file has them.
  Regions(const Rest& rest, store::Store& store, NodeId self, std::vector<std::string> names,
          store::RegionSet witnesses, std::vector<NodeAddress> file)
      : rest_(rest),
        store_(store),
        self_(self),
        names_(std::move(names)),
        witnesses_(witnesses),
        file_(std::move(file)) {}
  void mount(Router& router);

 private:
  using Response = Task<net::HttpResponse>;
  Response list(net::HttpRequest request);
  // 404: no such region. 409: it is in that state already, or the last that serves.
  Response change(net::HttpRequest request, std::string name, store::v1::RegionState state);
  // Adds the region, and then its nodes. 409: it is not the next one, or nodes have not been given the file that names
  // it. 202: it goes on.
  Response add(net::HttpRequest request, std::string name);
  // Removes the region and its nodes, for good. 409: it serves, or was removed before, or too few others are left. 202:
  // its nodes are on their way out of the groups.
  Response remove(net::HttpRequest request, std::string name);
  // What a caller is told who may not order it, or does so wrongly; nullopt: `wanted` says which region, by whom and
  // why.
  std::optional<net::HttpResponse> refuse(const net::HttpRequest& request, const std::string& name,
                                          store::v1::ChangeMembership& wanted) const;
  // The epoch that it makes. A region is removed with its nodes.
  Task<Result<std::uint64_t>> carry_out(Executor& on, const store::v1::ChangeMembership& wanted);
  // 404: the region is none of this node's file.
  Result<RegionId> region_named(const std::string& name) const;
  Status may_be_added(RegionId region) const;
  bool is_witness(store::RegionSet of_file, RegionId region) const {
    return (of_file & store::region_bit(region)) != 0;
  }
  std::string missing_files(RegionId region) const;
  // Waits a little until the epoch is known here and the region's fence is carried out in all home groups.
  Task<void> settle(Executor& on, RegionId region, std::uint64_t epoch);

  const Rest& rest_;
  store::Store& store_;
  NodeId self_;
  std::vector<std::string> names_;
  store::RegionSet witnesses_;
  std::vector<NodeAddress> file_;
};

}  // namespace evercert::api
