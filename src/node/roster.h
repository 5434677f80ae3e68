// SPDX-License-Identifier: Apache-2.0
// Who the nodes of the cluster are now, and where they answer each other: the membership record says who votes (nodes
// are added and removed while others run, docs/cycles/topology.md), the cluster file where they are. Pure but for
// RosterWatch, which any thread may ask.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "config/config.h"
#include "net/http_client.h"
#include "store/membership_board.h"

namespace evercert::node {

struct Roster {
  std::map<RegionId, std::string> regions;  // that keep records and were not removed, as the file names them
  std::map<NodeId, RegionId> nodes;         // of these regions, that vote in all groups; and the node itself
  std::map<NodeId, net::HttpTarget> peers;  // where they answer other nodes, by mTLS
  struct Witness {
    std::string name;
    net::HttpTarget target;  // its plain port
  };
  std::map<NodeId, Witness> witnesses;
};

// A node that the file does not name answers at the record's address and, since a record holds no more, at the ports of
// `self`. As long as nothing is known of the record: the nodes of the file that are not spare.
Roster roster_of(const config::ClusterConfig& config, NodeId self, const store::MembershipView& view);

// "us-east-1/2"; a region that the file does not name: "region-9/1".
std::string name_of(const config::ClusterConfig& config, NodeId node);

class RosterWatch {
 public:
  // Everything given outlives it.
  RosterWatch(const config::ClusterConfig& config, NodeId self,
              std::function<std::shared_ptr<const store::MembershipView>()> membership);
  // Another object after each change of the record, and none otherwise. Never null.
  std::shared_ptr<const Roster> now();

 private:
  const config::ClusterConfig& config_;
  const NodeId self_;
  const std::function<std::shared_ptr<const store::MembershipView>()> membership_;
  std::mutex mutex_;
  std::shared_ptr<const store::MembershipView> seen_;
  std::shared_ptr<const Roster> roster_;
};

}  // namespace evercert::node
