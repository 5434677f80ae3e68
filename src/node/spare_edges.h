// SPDX-License-Identifier: Apache-2.0
// Edges of the cluster file that are not run in calm times: processes of this machine that a node starts when capacity
// is needed, and lets go afterwards. Which ones, whoever starts the node says (--spare-edge): nobody else's word starts
// a process here.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/os/child.h"
#include "recovery/capacity/driver.h"

namespace evercert::node {

class SpareEdges : public recovery::CapacityDriver {
 public:
  SpareEdges(std::string cluster_file, std::string region, const std::vector<int>& numbers);
  std::vector<recovery::Worker> list() override;
  Status start(const std::string& name) override;
  Status stop(const std::string& name) override;

 private:
  struct Edge {
    int number = 0;
    os::Child process;
  };
  std::string cluster_file_, region_;
  std::map<std::string, Edge> edges_;
};

}  // namespace evercert::node
