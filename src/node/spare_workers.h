// SPDX-License-Identifier: Apache-2.0
// Edges and nodes of the cluster file that are not run in calm times: processes of this machine that the first node of
// their region starts when capacity is needed, and lets go afterwards. Which ones, the cluster file says: nobody's word
// over the network starts anything else. A node is ended only when it is a member of no group any more
// (recovery/capacity/spare_node.h): until then stop() leaves it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/os/child.h"
#include "recovery/capacity/driver.h"
#include "recovery/capacity/spare_node.h"
#include "store/membership_board.h"
#include "store/proto/records.pb.h"

namespace evercert::node {

struct SpareNode {
  NodeId id;
  int zone = 0;
  std::string address, data_dir;
  std::uint16_t peer_port = 0, coordination_port = 0, status_port = 0;
};

// The lock of the controller by whose word a spare node comes or goes; token 0: nobody's word.
struct Warrant {
  std::string lock;
  std::int64_t token = 0;
};

// Makes those vote that do now, with the node or without it: nothing when the record has changed since `view`, or the
// lock is another's. `by`: the name of the node that asks for it.
store::v1::Command with_member(const store::MembershipView& view, const SpareNode& node, bool with,
                               const std::string& by, const Warrant& warrant);

struct SpareOptions {
  std::string cluster_file, region;
  std::vector<int> edges;  // their numbers
  std::vector<SpareNode> nodes;
};

class SpareWorkers : public recovery::CapacityDriver {
 public:
  explicit SpareWorkers(SpareOptions options);
  std::vector<recovery::Worker> list() override;
  Status start(const std::string& name) override;
  Status stop(const std::string& name) override;

  // Whether the node is to run, and does.
  recovery::SpareNodeStanding standing(NodeId node);
  // It is a member of no group: what stop() was asked for may be done.
  void end(NodeId node);

 private:
  struct Process {
    std::vector<std::string> arguments;
    NodeId node;  // of a node
    bool wanted = false;
    os::Child process;
  };
  Process* of(NodeId node);
  std::map<std::string, Process> all_;  // edges, then nodes: what is there sooner first
};

}  // namespace evercert::node
