// SPDX-License-Identifier: Apache-2.0
// How the steps of a failover plan are carried out: changes of the membership record, and looking whether other regions
// answer for what a region has issued.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/http_client.h"
#include "node/roster.h"
#include "recovery/failover/controller.h"
#include "store/store.h"

namespace evercert::node {

class FailoverEffects {
 public:
  // Everything given outlives it and every task it gave out.
  FailoverEffects(const std::map<RegionId, std::string>& issuer_ders, store::Store& store, net::HttpClient& client)
      : issuer_ders_(issuer_ders), store_(store), client_(client) {}

  // What was seen. kConflict, kUnavailable, kUnknownOutcome: as the store says; kNotFound: it will not come about.
  // `lock`: the key of the lock that was created at the effect's token. `workers`: how many each node could run.
  Task<Result<std::string>> carry_out(Executor& on, recovery::Effect effect, std::string lock,
                                      std::shared_ptr<const Roster> roster, std::map<NodeId, int> workers);
  // A controller that has just begun stands by what nodes were told to run: from now on it is by its word, and the
  // changes of the members that follow from it are made under its lock. `nodes`: those that go by another's.
  Task<void> affirm(Executor& on, std::vector<NodeId> nodes, std::string lock, std::int64_t token,
                    std::shared_ptr<const Roster> roster);

 private:
  Task<Result<std::string>> change_membership(Executor& on, recovery::Effect effect, std::string lock);
  using Nodes = std::shared_ptr<const Roster>;
  Task<Result<std::string>> set_workers(Executor& on, recovery::Effect effect, std::string lock, Nodes roster,
                                        std::map<NodeId, int> workers);
  Task<Result<std::string>> warm(Executor& on, RegionId region, Nodes roster);
  Task<std::string> warm_node(Executor& on, NodeId node, RegionId region, Nodes roster,
                              std::vector<std::string> serials, bool& well);

  const std::map<RegionId, std::string>& issuer_ders_;
  store::Store& store_;
  net::HttpClient& client_;
};

}  // namespace evercert::node
